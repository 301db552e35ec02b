"""The completion scripts. Each holds the same three tables, written as the shell's own functions.

Tables print one candidate a line, its description after a tab. Nothing is handed to `compgen -W`, which
would expand it: a status named `$(…)` on somebody's board must stay a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from lattice.cli.completion import ASKED, FILES, Grammar, Word

_FILES_STATUS = 9
"""What the table of values returns where the shell's own completion of files serves."""


def bash(grammar: Grammar) -> str:
    """For bash 4.4 and later."""
    return f"# Completion of lattice for bash.\n{_tables(grammar)}\n{_POSIX_WALK}\n{_BASH}"


def zsh(grammar: Grammar) -> str:
    """For zsh: as a file `_lattice` of the fpath, or by eval after compinit."""
    return f"#compdef lattice\n# Completion of lattice for zsh.\n{_tables(grammar)}\n{_POSIX_WALK}\n{_ZSH}"


def fish(grammar: Grammar) -> str:
    """For fish 3 and later."""
    return f"# Completion of lattice for fish.\n{_fish_tables(grammar)}\n{_FISH}"


SCRIPTS: Mapping[str, Callable[[Grammar], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _tables(grammar: Grammar) -> str:
    """The tables as functions that bash and zsh read alike."""
    values = _values(grammar, _place, '"$first"')
    return "\n".join([
        _function("_lattice_commands", [("*", _printed(grammar.commands))]),
        _function("_lattice_members", [(_word(group), _printed(pairs)) for group, pairs in _members(grammar).items()]),
        _function("_lattice_options", [(_word(name), _printed(pairs)) for name, pairs in _options(grammar).items()]),
        _function("_lattice_takes", [("|".join(map(_word, _taking(grammar))), "return 0"), ("*", "return 1")]),
        _function("_lattice_values", [("|".join(places), action) for action, places in values.items()]),
    ])  # fmt: skip


def _function(name: str, cases: Iterable[tuple[str, str]]) -> str:
    arms = "\n".join(f"        {pattern}) {action} ;;" for pattern, action in cases)
    return f'{name}() {{\n    case "$1" in\n{arms}\n    esac\n}}'


def _printed(pairs: Sequence[tuple[str, str]]) -> str:
    return "printf '%s\\t%s\\n' " + " ".join(f"{_word(name)} {_word(told)}" for name, told in pairs)


def _word(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _place(word: Word) -> str:
    return _word(f"{word.command} {word.place}")


def _members(grammar: Grammar) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for group, name, told in grammar.members:
        found.setdefault(group, []).append((name, told))
    return found


def _options(grammar: Grammar) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for option in grammar.options:
        found.setdefault(option.command, []).append((option.flag, option.told))
    return found


def _taking(grammar: Grammar) -> list[str]:
    return [f"{option.command} {option.flag}" for option in grammar.options if option.takes_value]


def _values(grammar: Grammar, place: Callable[[Word], str], first: str) -> dict[str, list[str]]:
    """What to run for the words of a place, and the places for which it is that; `first` is the command's argument."""
    found: dict[str, list[str]] = {}
    for word in grammar.words:
        if word.fixed:
            action = "printf '%s\\n' " + " ".join(map(_word, word.fixed))
        elif word.kind == FILES:
            action = f"return {_FILES_STATUS}"
        else:
            action = f"{ASKED[word.kind or ''].replace('{first}', first)} 2>/dev/null"
        found.setdefault(action, []).append(place(word))
    return found


# Reads the words before the cursor; sets command, expects (an option that waits for its value), place, and first,
# the first argument.
_POSIX_WALK = r"""_lattice_walk() {
    command='' expects='' first='' place=1
    local group='' word
    for word in "$@"; do
        if [ -n "$group" ]; then
            command="$group $word" group=''
        elif [ -z "$command" ]; then
            if [ "$word" = help ]; then continue; fi
            if [ -n "$(_lattice_members "$word")" ]; then group="$word"; else command="$word"; fi
        elif [ "$word" = '=' ]; then
            continue
        elif [ -n "$expects" ]; then
            expects=''
        else
            case "$word" in
                --*=*) ;;
                -*) if _lattice_takes "$command $word"; then expects="$word"; fi ;;
                *) first="${first:-$word}" place=$((place + 1)) ;;
            esac
        fi
    done
    if [ -n "$group" ]; then command="$group" place=0; fi
}
_lattice_candidates() {
    case "$place:$command:$expects:$1" in
        1::*) _lattice_commands ;;
        0:*) _lattice_members "$command" ;;
        *:*:-*:*) _lattice_values "$command $expects" ;;
        *:*::-*) _lattice_options "$command" ;;
        *) _lattice_values "$command $place" ;;
    esac
}
"""

_BASH = r"""_lattice() {
    local command expects first place candidates candidate current="${COMP_WORDS[COMP_CWORD]}"
    _lattice_walk "${COMP_WORDS[@]:1:COMP_CWORD-1}"
    if [ "$current" = '=' ]; then current=''; fi
    COMPREPLY=()
    candidates=$(_lattice_candidates "$current")
    if [ $? -eq 9 ]; then
        compopt -o default 2>/dev/null
        return 0
    fi
    while IFS= read -r candidate; do
        candidate="${candidate%%$'\t'*}"
        case "$candidate" in
            '' | *[!A-Za-z0-9._/@+-]*) ;;
            "$current"*) COMPREPLY+=("$candidate") ;;
        esac
    done <<<"$candidates"
}
complete -F _lattice lattice
"""

_ZSH = r"""_lattice() {
    local command expects first place candidates candidate current
    local -a names told before
    before=("${(@)words[2,CURRENT-1]}")
    current="${words[CURRENT]}"
    if [[ "$current" == --*=* ]]; then
        before+=("${current%%=*}")
        current="${current#*=}"
        compset -P '*='
    fi
    _lattice_walk "${before[@]}"
    candidates=$(_lattice_candidates "$current")
    if [ $? -eq 9 ]; then
        _files
        return
    fi
    for candidate in "${(@f)candidates}"; do
        names+=("${candidate%%$'\t'*}")
        told+=("${candidate/$'\t'/  -- }")
    done
    compadd -d told -a names
}
if [ "${funcstack[1]}" = _lattice ]; then
    _lattice "$@"
else
    compdef _lattice lattice
fi
"""


def _fish_tables(grammar: Grammar) -> str:
    values = _values(grammar, lambda word: _fish_word(f"{word.command} {word.place}"), '"$argv[2]"')
    return "\n".join(
        [
            _fish_function("__lattice_commands", [("'*'", _fish_printed(grammar.commands))]),
            _fish_function(
                "__lattice_members",
                [(_fish_word(group), _fish_printed(pairs)) for group, pairs in _members(grammar).items()],
            ),
            _fish_function(
                "__lattice_options",
                [(_fish_word(name), _fish_printed(pairs)) for name, pairs in _options(grammar).items()],
            ),
            _fish_function(
                "__lattice_takes", [(" ".join(map(_fish_word, _taking(grammar))), "return 0"), ("'*'", "return 1")]
            ),
            _fish_function("__lattice_values", [(" ".join(places), action) for action, places in values.items()]),
        ]
    )


def _fish_function(name: str, cases: Iterable[tuple[str, str]]) -> str:
    arms = "\n".join(f"        case {patterns}\n            {action}" for patterns, action in cases)
    return f'function {name}\n    switch "$argv[1]"\n{arms}\n    end\nend'


def _fish_printed(pairs: Sequence[tuple[str, str]]) -> str:
    return "printf '%s\\t%s\\n' " + " ".join(f"{_fish_word(name)} {_fish_word(told)}" for name, told in pairs)


def _fish_word(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_FISH = r"""function __lattice_complete
    set -l command ''
    set -l group ''
    set -l expects ''
    set -l first ''
    set -l place 1
    set -l prefix ''
    set -l current (commandline -ct)
    set -l before (commandline -opc)
    set -e before[1]
    if string match -qr -- '^--[^=]+=' $current
        set -l halves (string split -m 1 = -- $current)
        set before $before $halves[1]
        set prefix "$halves[1]="
        set current $halves[2]
    end
    for word in $before
        if test -n "$group"
            set command "$group $word"
            set group ''
        else if test -z "$command"
            if test "$word" = help
                continue
            end
            if test -n "$(__lattice_members $word | string collect)"
                set group $word
            else
                set command $word
            end
        else if test -n "$expects"
            set expects ''
        else if string match -q -- '--*=*' $word
            continue
        else if string match -q -- '-*' $word
            if __lattice_takes "$command $word"
                set expects $word
            end
        else
            if test -z "$first"
                set first $word
            end
            set place (math $place + 1)
        end
    end
    if test -n "$group"
        __lattice_members $group
    else if test -z "$command"
        __lattice_commands
    else if test -n "$expects"
        set -l found (__lattice_values "$command $expects" "$first")
        if test $status -eq 9
            __fish_complete_path $current
        else
            printf "$prefix%s\n" $found
        end
    else if string match -q -- '-*' $current
        __lattice_options $command
    else
        __lattice_values "$command $place" "$first"
        if test $status -eq 9
            __fish_complete_path $current
        end
    end
end
complete -c lattice -f -a '(__lattice_complete)'
"""
