# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# A sparse file, which no program stands before: what the others are compared with.

drive_version() { echo 'sparse file'; }
drive_create() { truncate -s "$1" drive; }
