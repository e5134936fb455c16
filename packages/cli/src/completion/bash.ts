/** Completion for bash, 3.2 and later. */

import type { Completion } from "../manual/page.ts";
import { choicesOf, type CompletedCommand, type CompletionWords, type FormatOptions } from "./words.ts";

/** The script; it defines `_coblock` and what that calls. */
export function bashScript({ commands, formats, creation, amend }: CompletionWords): string {
  const names = [...commands.map(({ name }) => name), "img", "io", "--help", "--version"];
  return `# Completion of coblock for bash; made by: coblock completion bash

_coblock_commands() { echo ${quote(names.join(" "))}; }
_coblock_formats() { echo ${quote(formats.join(" "))}; }

# What may follow an option of a command: kind, or nothing where it takes no value.
_coblock_value_kind() {
  case "$1 $2" in
${commands.flatMap(valueKinds).join("\n")}
  esac
}

# The options of a command.
_coblock_options() {
  case "$1" in
${commands.map(({ name, options }) => `    ${name}) echo ${quote(options.flatMap(namesOf).join(" "))} ;;`).join("\n")}
  esac
}

# What a command takes beside options: kind.
_coblock_operand_kind() {
  case "$1" in
${commands.map(({ name, operands }) => `    ${name}) echo ${quote(kindOf(operands))} ;;`).join("\n")}
  esac
}

# Options of new images, and of images that are changed.
_coblock_creation_options() {
  case "$1" in
${formatCases(creation)}
  esac
}
_coblock_amend_options() {
  case "$1" in
${formatCases(amend)}
  esac
}
${COMPLETING}`;
}

/** What looks up in the tables above, whatever is in them. */
const COMPLETING = `
# The format that the line names, else the most common one. For create and amend it is -f, for others -O.
_coblock_format() {
  local found=qcow2 index
  for ((index = 2; index < \${#words[@]} - 1; index++)); do
    case "\${words[index]}" in
      -O | --target-format | --output-format) found=\${words[index + 1]} ;;
      -f | --format) [[ $command == create || $command == amend ]] && found=\${words[index + 1]} ;;
      -O?*) found=\${words[index]#-O} ;;
      --target-format=* | --output-format=*) found=\${words[index]#*=} ;;
      --format=*) [[ $command == create || $command == amend ]] && found=\${words[index]#*=} ;;
    esac
  done
  echo "$found"
}

# Offers words; each is complete but for those that end in "=".
_coblock_offer() {
  local prefix=$1 value=$2
  shift 2
  local candidate
  for candidate in $(compgen -W "$*" -- "$value"); do
    candidate=$prefix$candidate
    COMPREPLY+=("\${candidate:\${#broken}}")
  done
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

# Offers what a kind stands for. Files are left to bash itself: it knows about spaces and quotes.
_coblock_offer_kind() {
  local kind=$1 prefix=$2 value=$3 list
  case "$kind" in
    format) _coblock_offer "$prefix" "$value" $(_coblock_formats) ;;
    creation | amend)
      list=\${value%"\${value##*,}"}
      _coblock_offer "$prefix$list" "\${value##*,}" "$("_coblock_\${kind}_options" "$(_coblock_format)")" ;;
    words\\ *) _coblock_offer "$prefix" "$value" "\${kind#words }" ;;
    folder) compopt -o dirnames 2>/dev/null ;;
    file) compopt -o default 2>/dev/null ;;
  esac
}

_coblock() {
  local line=\${COMP_LINE:0:COMP_POINT} command kind
  local -a words
  COMPREPLY=()
  # Words as the shell will see them: COMP_WORDS are broken at "=" and ":".
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  [[ \${#words[@]} -gt 2 && \${words[1]} == img ]] && words=("\${words[0]}" "\${words[@]:2}")
  local current=\${words[\${#words[@]} - 1]} previous=\${words[\${#words[@]} - 2]}
  # What readline keeps of the current word: up to the last character that breaks words.
  local broken=
  [[ $COMP_WORDBREAKS == *=* ]] && broken=\${current%"\${current##*=}"}
  if [[ \${#words[@]} -le 2 ]]; then
    _coblock_offer "" "$current" "$(_coblock_commands)"
    return
  fi
  command=\${words[1]}
  if [[ $current == --*=* ]]; then
    _coblock_offer_kind "$(_coblock_value_kind "$command" "\${current%%=*}=")" "\${current%%=*}=" "\${current#*=}"
    return
  fi
  kind=$(_coblock_value_kind "$command" "$previous")
  if [[ -n $kind ]]; then
    _coblock_offer_kind "$kind" "" "$current"
  elif [[ $current == -* ]]; then
    _coblock_offer "" "$current" "$(_coblock_options "$command")"
  else
    kind=$(_coblock_operand_kind "$command")
    _coblock_offer_kind "\${kind:-file}" "" "$current"
  fi
}

complete -F _coblock coblock
`;

function namesOf({ short, long, takes }: CompletedCommand["options"][number]): readonly string[] {
  return [...(short === undefined ? [] : [`-${short}`]), ...(long === undefined ? [] : [`--${long}${takes === "value" ? "=" : ""}`])];
}

/** An option as a word of its own, and with `=` behind it. */
function valueKinds({ name, options }: CompletedCommand): readonly string[] {
  return options.flatMap(({ short, long, takes, completes }) => {
    if (takes === "nothing") return [];
    const separate = takes === "value" ? [...(short === undefined ? [] : [`-${short}`]), ...(long === undefined ? [] : [`--${long}`])] : [];
    const patterns = [...separate, ...(long === undefined ? [] : [`--${long}=`])].map((option) => quote(`${name} ${option}`));
    return [`    ${patterns.join(" | ")}) echo ${quote(kindOf(completes))} ;;`];
  });
}

function kindOf(completion: Completion | undefined): string {
  if (completion === undefined) return "words ";
  if (typeof completion === "object") return `words ${completion.join(" ")}`;
  return completion.replace(/ options$/, "");
}

function formatCases(options: FormatOptions): string {
  return [...options]
    .map(([format, list]) => {
      const words = list.flatMap((option) => {
        const choices = choicesOf(option);
        return choices.length === 0 ? [`${option.name}=`] : choices.map((choice) => `${option.name}=${choice}`);
      });
      return `    ${format}) echo ${quote(words.join(" "))} ;;`;
    })
    .join("\n");
}

/** In single quotes. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
