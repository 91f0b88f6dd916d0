#!/bin/sh
# Gives a Debian machine Chromium and its WebDriver, for the tests of the page of `gatefold serve`. Where both are there it does nothing
# and says nothing. Elsewhere, or if they cannot be had, it says so, and that is all: those tests are skipped then, and say so too.
#
# usage: setup-browser.sh
set -eu

. "$(dirname "$0")/optional.sh"

has_both() {
    command -v chromedriver >/dev/null 2>&1 || return 1
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v "$name" >/dev/null 2>&1; then
            return 0
        fi
    done
    return 1
}

if has_both; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    say 'skipped: install Chromium and its chromedriver yourself'
    exit 0
fi
apt_install chromium chromium-driver || say 'skipped: the packages chromium and chromium-driver cannot be installed'
