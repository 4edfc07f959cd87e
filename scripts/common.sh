# Sourced by every script here: strict mode, the checkout's root as working directory, and a few words to speak with.
# shellcheck shell=bash
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# rustup puts cargo here without touching the PATH of a non-interactive shell.
case ":$PATH:" in
  *":$HOME/.cargo/bin:"*) ;;
  *) export PATH="$PATH:$HOME/.cargo/bin" ;;
esac
# ethtool, traceroute and keepalived live in sbin, which is not on every PATH.
case ":$PATH:" in
  *:/usr/sbin:*) ;;
  *) export PATH="$PATH:/usr/sbin:/sbin" ;;
esac

say() { printf '%s\n' "$*" >&2; }

die() {
  say "${0##*/}: $*"
  exit 1
}

# True when version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

need_root() { [ "$(id -u)" = 0 ] || die "needs root: network namespaces and raw sockets are made here. Try: sudo -E $0"; }

# Sees to it that so many huge pages of 2 MiB are free, if the machine can, until this script ends. Without them
# everything works, only slower, so not getting them is no failure.
reserve_huge_pages() {
  local pool=/sys/kernel/mm/hugepages/hugepages-2048kB
  [ -w "$pool/nr_hugepages" ] || return 0
  huge_pages_before=$(cat "$pool/nr_hugepages")
  local missing=$(($1 - $(cat "$pool/free_hugepages")))
  [ "$missing" -gt 0 ] || return 0
  trap 'echo "$huge_pages_before" >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages' EXIT
  echo $((huge_pages_before + missing)) >"$pool/nr_hugepages" 2>/dev/null || true
}
