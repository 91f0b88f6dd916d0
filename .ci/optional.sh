# For the scripts that get what optional tests need: they read this file.

# A line for the user.
say() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
}

# Installs these Debian packages; no password is asked for.
apt_install() {
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root='sudo -n'
    install="$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
    # A fresh container has no package lists.
    $install "$@" || { $as_root apt-get update && $install "$@"; }
}
