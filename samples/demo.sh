#!/bin/sh
# The main job on the sample documents: index them, then ask.
set -eu
cd "$(dirname "$0")/.."

run() {
    printf '\n$ llar'
    for word in "$@"; do
        case $word in *' '*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac
    done
    printf '\n'
    llar "$@"
}

run add samples/paracetamol.pdf samples/handbook.html samples/biblioteca.docx samples/faq.md \
    samples/inventory.xlsx -c demo
run ask "¿Qué cantidad puede tomar un adulto?" -c demo
run ask "How many days of annual leave do full-time staff have?" -c demo
run ask "How much does the clinic pay for parking?" -c demo
