/** docs/reference/cli.md, made of what the commands say about themselves, so that it cannot say anything else. */
import type { Command } from "commander";

export function renderReference(program: Command): string {
  const commands = program.commands.map(renderCommand);
  return `${INTRODUCTION}${globalOptions(program)}\n${commands.join("\n")}`;
}

function globalOptions(program: Command): string {
  const help = program.createHelp();
  const rows = help.visibleOptions(program).filter(({ long }) => long !== "--help" && long !== "--version");
  const lines = rows.map((it) => `| ${cell(`\`${it.flags}\``)} | ${cell(help.optionDescription(it))} |\n`);
  return `\n| with every command | |\n|---|---|\n${lines.join("")}`;
}

const INTRODUCTION = `# Commands

\`podtap --help\` lists the commands, \`podtap COMMAND --help\` explains one. Flags have kubectl's and virtctl's names
where those have them. Results go to stdout, everything for people to stderr.

The first command that needs the daemon starts it (which takes root, or [\`--rootless\`](../guides/rootless.md)); \`podtap down --all\` lets it go.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it failed; the error says what and what to do, as JSON with \`-o json\` |
| 2 | wrong usage; \`plan --exit-code\`: something would change |
| 3 | the environment: not built, no root, no permission, the daemon does not start, a program is missing |
| 130 | interrupted by Ctrl-C |

\`podtap ssh\` exits as ssh does: with the remote command's own code, or 255.

| variable | moves |
|---|---|
| \`PODTAP_STATE_DIR\` | what survives a reboot: objects, images, disks (\`/var/lib/podtap\`) |
| \`PODTAP_RUN_DIR\` | sockets, namespaces, the daemon's log (\`/run/podtap\`); keep it short |
| \`PODTAP_SOCKET\` | the daemon's socket (\`podtap.sock\` in the run folder) |
| \`NO_COLOR\` | switches colours off |
`;

function renderCommand(command: Command): string {
  const help = command.createHelp();
  const rows = [
    ...help
      .visibleArguments(command)
      .map((it) => [`\`${it.name()}\``, help.argumentDescription(it)] as const),
    ...help
      .visibleOptions(command)
      .filter(({ long }) => long !== "--help")
      .map((it) => [`\`${it.flags}\``, help.optionDescription(it)] as const),
  ];
  const table = rows.map(([name, text]) => `| ${cell(name)} | ${cell(text)} |\n`).join("");
  return [
    `## ${command.name()}\n`,
    `\`podtap ${command.name()} ${command.usage()}\`\n`,
    `${capital(command.description())}.\n`,
    ...(rows.length > 0 ? [`| | |\n|---|---|\n${table}`] : []),
    `\`\`\`sh\n${examplesOf(command)}\n\`\`\`\n`,
  ].join("\n");
}

/** The text under `Examples:`, which commander only gives to whoever prints the help. */
export function examplesOf(command: Command): string {
  let text = "";
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  const [, list = ""] = text.split("\nExamples:\n");
  return list.replaceAll(/^ {2}/gm, "").trimEnd();
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
