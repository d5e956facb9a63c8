# SPDX-License-Identifier: MIT
"""`make menuconfig` at a terminal, `make defconfig`, and what a build then is told."""
import os
import subprocess

import pexpect
import pytest

from machine import build

pytestmark = pytest.mark.hospes_only
DOWN, ENTER = "j", "\r"


class Config:
    """A .config and a build folder of its own, so that the tree's are left alone."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "config")
        self.settings = [f"CONFIG={self.path}", f"O={folder}"]
        self.autoconf = os.path.join(folder, "autoconf.h")

    def make(self, *targets):
        subprocess.run(["make", "-s", *self.settings, *targets], cwd=build.TOP, check=True)

    def lines(self):
        with open(self.path) as file:
            return file.read().splitlines()

    def macros(self):
        """What the compiler is told."""
        self.make(self.autoconf)
        with open(self.autoconf) as file:
            return file.read().splitlines()

    def menu(self):
        return pexpect.spawn("make", [*self.settings, "menuconfig"], cwd=build.TOP, encoding="utf-8",
                             timeout=60, dimensions=(40, 100), env=dict(os.environ, TERM="vt100"))


@pytest.fixture
def config(tmp_path):
    config = Config(str(tmp_path))
    config.make("defconfig")
    return config


def test_menuconfig(config):
    """One option changed, saved, and built by; defconfig takes it back."""
    assert "CONFIG_DEBUG=y" not in config.lines()
    assert "#define CONFIG_DEBUG 1" not in config.macros()
    menu = config.menu()
    menu.expect_exact("Size and checks")
    menu.send(ENTER)
    menu.expect_exact("Checks at run time")
    menu.send(DOWN + "y" + "s")
    menu.expect_exact("Filename to save configuration to")
    menu.send(ENTER)
    menu.expect_exact("saved to")
    menu.send(ENTER + "q")
    menu.expect(pexpect.EOF)
    menu.close()
    assert menu.exitstatus == 0
    assert "CONFIG_DEBUG=y" in config.lines()
    assert "CONFIG_SYMBOLS=y" in config.lines()
    assert "#define CONFIG_DEBUG 1" in config.macros()
    config.make("defconfig")
    assert "CONFIG_DEBUG=y" not in config.lines()
    assert "#define CONFIG_DEBUG 1" not in config.macros()


def test_menuconfig_left_without_saving(config):
    """It asks; what is not saved is not changed."""
    before = config.lines()
    menu = config.menu()
    menu.expect_exact("Size and checks")
    menu.send(ENTER)
    menu.expect_exact("Checks at run time")
    menu.send(DOWN + "y" + "q")
    menu.expect_exact("Save configuration?")
    menu.send("n")
    menu.expect(pexpect.EOF)
    menu.close()
    assert menu.exitstatus == 0
    assert config.lines() == before


@pytest.mark.parametrize("name", ["tiny", "debug"])
def test_other_defaults(config, name):
    config.make(f"{name}_defconfig")
    assert ("#define CONFIG_DEBUG 1" in config.macros()) == (name == "debug")
    assert ("#define CONFIG_SYMBOLS 1" in config.macros()) == (name == "debug")
