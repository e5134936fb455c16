/** Completion for fish. */

import type { Completion } from "../manual/page.ts";
import { choicesOf, type CompletedCommand, type CompletedOption, type CompletionWords, type FormatOptions } from "./words.ts";

/** The script. */
export function fishScript({ commands, formats, creation, amend }: CompletionWords): string {
  return `# Completion of coblock for fish; made by: coblock completion fish

# Options of the format that the line names, behind those that are typed already.
function __coblock_options
    set -l kind $argv[1]
    set -l format qcow2
    set -l words (commandline -opc)
    for index in (seq (count $words))
        switch $words[$index]
            case -O --target-format --output-format -f --format
                set -q words[(math $index + 1)]; and set format $words[(math $index + 1)]
            case '--target-format=*' '--output-format=*' '--format=*'
                set format (string replace -r '^[^=]*=' '' -- $words[$index])
        end
    end
    set -l typed (string match -r '.*,' -- (commandline -ct | string replace -r '^--options=' ''))
    for option in (__coblock_$kind $format)
        echo "$typed$option"
    end
end
function __coblock_creation
    switch $argv[1]
${formatCases(creation)}
    end
end
function __coblock_amend
    switch $argv[1]
${formatCases(amend)}
    end
end

complete -c coblock -f
complete -c coblock -n __fish_use_subcommand -s h -l help -d 'print help'
complete -c coblock -n __fish_use_subcommand -s V -l version -d 'print the version'
complete -c coblock -n __fish_use_subcommand -a img -d qemu-img
complete -c coblock -n __fish_use_subcommand -a io -d qemu-io
${commands.map(({ name, summary }) => `complete -c coblock -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`).join("\n")}
${commands.flatMap((command) => commandLines(command, formats)).join("\n")}
`;
}

function commandLines({ name, options, operands }: CompletedCommand, formats: readonly string[]): readonly string[] {
  const start = `complete -c coblock -n '__fish_seen_subcommand_from ${name}'`;
  return [...options.map((option) => `${start} ${optionWords(option, formats)}`), `${start} ${argumentWords(operands, formats, false)}`];
}

function optionWords({ short, long, takes, completes, help }: CompletedOption, formats: readonly string[]): string {
  const names = [...(short === undefined ? [] : [`-s ${short}`]), ...(long === undefined ? [] : [`-l ${long}`])].join(" ");
  const value = takes === "nothing" ? "" : ` ${argumentWords(completes, formats, takes === "value")}`;
  return `${names}${value} -d ${quote(help)}`;
}

function argumentWords(completion: Completion | undefined, formats: readonly string[], isRequired: boolean): string {
  const exclusive = isRequired ? "-x " : "";
  if (completion === undefined) return exclusive.trim();
  if (typeof completion === "object") return `${exclusive}-a ${quote(completion.join(" "))}`;
  if (completion === "format") return `${exclusive}-a ${quote(formats.join(" "))}`;
  if (completion === "file") return isRequired ? "-r -F" : "-F";
  if (completion === "folder") return `${exclusive}-a '(__fish_complete_directories)'`;
  return `${exclusive}-a '(__coblock_options ${completion.replace(" options", "")})'`;
}

function formatCases(options: FormatOptions): string {
  return [...options]
    .map(([format, list]) => {
      const words = list.flatMap((option) => {
        const choices = choicesOf(option).map((choice) => `${option.name}=${choice}`);
        return (choices.length === 0 ? [`${option.name}=`] : choices).map((word) => `${word}\\t${option.help}`);
      });
      return `        case ${format}\n            printf '%b\\n' ${words.map(quote).join(" ")}`;
    })
    .join("\n");
}

/** fish knows two escapes between single quotes. */
function quote(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
