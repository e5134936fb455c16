/** Completion for zsh: a function for `_arguments`, to be put into a folder of `fpath`. */

import type { CreateOption } from "@coblock/core";
import type { Completion } from "../manual/page.ts";
import { choicesOf, type CompletedCommand, type CompletedOption, type CompletionWords, type FormatOptions } from "./words.ts";

/** The script; it works from `fpath` and when it is sourced. */
export function zshScript({ commands, formats, creation, amend }: CompletionWords): string {
  return `#compdef coblock
# Completion of coblock for zsh; made by: coblock completion zsh

# Options of new images, and of images that are changed, of the format that the line names.
_coblock_creation_options() {
  case \${opt_args[-O]:-\${opt_args[--target-format]:-\${opt_args[--output-format]:-\${opt_args[-f]:-\${opt_args[--format]:-qcow2}}}}} in
${formatCases(creation)}
  esac
}
_coblock_amend_options() {
  case \${opt_args[-f]:-\${opt_args[--format]:-qcow2}} in
${formatCases(amend)}
  esac
}

_coblock() {
  local context state state_descr line
  local -A opt_args
  _arguments -C '(-h --help)'{-h,--help}'[print help]' '(-V --version)'{-V,--version}'[print the version]' '1:command:->command' '*::argument:->argument'
  case $state in
    command)
      local -a commands
      commands=(
${[...commands, { name: "img", summary: "qemu-img" }, { name: "io", summary: "qemu-io" }]
  .map(({ name, summary }) => `        ${quote(`${name}:${summary}`)}`)
  .join("\n")}
      )
      _describe -t commands command commands
      ;;
    argument)
      case $words[1] in
        img) shift words; (( CURRENT-- )); _coblock_argument ;;
        *) _coblock_argument ;;
      esac
      ;;
  esac
}

_coblock_argument() {
  case $words[1] in
${commands.map((command) => commandCase(command, formats)).join("\n")}
    *) _files ;;
  esac
}

if [[ $funcstack[1] == _coblock ]]; then _coblock "$@"; else compdef _coblock coblock; fi
`;
}

function commandCase({ name, options, operands }: CompletedCommand, formats: readonly string[]): string {
  const lines = [...options.map((option) => optionSpec(option, formats)), quote(`*:argument:${actionOf(operands, formats)}`)];
  return `    ${name})\n      _arguments -s -S : \\\n${lines.map((line) => `        ${line}`).join(" \\\n")}\n      ;;`;
}

function optionSpec(option: CompletedOption, formats: readonly string[]): string {
  const { short, long, takes, isRepeated, argument, completes, help } = option;
  const names = [
    ...(short === undefined ? [] : [`-${short}${takes === "value" ? "+" : ""}`]),
    ...(long === undefined ? [] : [`--${long}${takes === "value" ? "=" : takes === "optional" ? "=-" : ""}`]),
  ];
  const plain = [...(short === undefined ? [] : [`-${short}`]), ...(long === undefined ? [] : [`--${long}`])];
  const value = takes === "nothing" ? "" : `${takes === "optional" ? "::" : ":"}${escape(argument)}:${actionOf(completes, formats)}`;
  const words = quote(`[${escape(help)}]${value}`);
  const list = names.length > 1 ? `{${names.join(",")}}` : (names[0] ?? "");
  return isRepeated ? `'*'${list}${words}` : `${quote(`(${plain.join(" ")})`)}${list}${words}`;
}

function actionOf(completion: Completion | undefined, formats: readonly string[]): string {
  if (completion === undefined) return " ";
  if (typeof completion === "object") return `(${completion.map(escape).join(" ")})`;
  if (completion === "format") return `(${formats.join(" ")})`;
  if (completion === "file") return "_files";
  return completion === "folder" ? "_files -/" : `_coblock_${completion.replace(" ", "_")}`;
}

function formatCases(options: FormatOptions): string {
  return [...options].map(([format, list]) => `    ${format}) _values -s , option ${list.map(valueSpec).join(" ")} ;;`).join("\n");
}

function valueSpec(option: CreateOption): string {
  const choices = choicesOf(option);
  return quote(`${option.name}[${escape(option.help)}]:value:${choices.length === 0 ? " " : `(${choices.join(" ")})`}`);
}

/** For what stands between brackets and colons. */
function escape(text: string): string {
  return text.replace(/[\\[\]:]/g, "\\$&");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
