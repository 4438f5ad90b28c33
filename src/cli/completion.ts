// `spoold completion SHELL`: a script that has the shell ask spoold itself what could come next (see complete.ts), so that
// verbs, options, jobs and tasks are always those that there are.
import { Option } from 'clipanion';
import { BaseCommand } from './base.ts';
import { print, usageError } from './print.ts';

export class CompletionCommand extends BaseCommand {
  static override paths = [['completion']];
  static override usage = BaseCommand.Usage({
    description: 'Print a script that completes verbs, options, jobs and tasks in bash, zsh or fish.',
    examples: [
      ['bash, in ~/.bashrc', 'eval "$($0 completion bash)"'],
      ['zsh, in ~/.zshrc after compinit', 'eval "$($0 completion zsh)"'],
      ['fish', '$0 completion fish > ~/.config/fish/completions/spoold.fish'],
    ],
  });

  complete = Option.Boolean('--complete', false, { hidden: true });
  words = Option.Proxy({ name: 'SHELL', required: 1 });

  override async execute(): Promise<void> {
    if (this.complete) {
      const { complete } = await import('./complete.ts');
      // What cannot be told while somebody types is not told.
      const lines = await complete(this.words.slice(1)).catch(() => []);
      if (lines.length > 0) print(lines.join('\n'));
      return;
    }
    const [shell = ''] = this.words;
    const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
    if (script === undefined) throw usageError(`There is no script for ${shell}.`, 'There are bash, zsh and fish.');
    print(script);
  }
}

const BASH = String.raw`# spoold completion for bash:  eval "$(spoold completion bash)"
_spoold() {
  local line current head
  local -a words
  # By blanks alone: bash would split a name at = and :.
  read -r -a words <<<"\${COMP_LINE:0:COMP_POINT}"
  [[ \${COMP_LINE:COMP_POINT-1:1} == [[:blank:]] ]] && words+=('')
  current=\${words[-1]}
  head=\${current%"\${current##*[=:]}"}
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :files) compopt -o filenames; mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current") ;;
      :dirs) compopt -o filenames; mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$current") ;;
      :commands) mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -c -- "$current") ;;
      *)
        line=\${line%%$'\t'*}
        [[ $line == */ ]] && compopt -o nospace
        COMPREPLY+=("\${line#"$head"}") ;;
    esac
  done < <(spoold completion --complete -- . "\${words[@]:1}" 2>/dev/null)
}
complete -F _spoold spoold`.replaceAll('\\${', '${');

const ZSH = String.raw`#compdef spoold
# spoold completion for zsh:  eval "$(spoold completion zsh)"
_spoold() {
  local line
  local -a lines
  lines=("\${(@f)$(spoold completion --complete -- . "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  for line in $lines; do
    case $line in
      :files) _files ;;
      :dirs) _files -/ ;;
      :commands) _command_names -e ;;
      */) compadd -S '' -- "$line" ;;
      *) compadd -- "\${line%%$'\t'*}" ;;
    esac
  done
}
if [[ $funcstack[1] == _spoold ]]; then _spoold "$@"; else compdef _spoold spoold; fi`.replaceAll('\\${', '${');

const FISH = String.raw`# spoold completion for fish:  spoold completion fish > ~/.config/fish/completions/spoold.fish
function __spoold_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in (spoold completion --complete -- . $words[2..] 2>/dev/null)
    switch $line
      case :files
        __fish_complete_path (commandline -ct)
      case :dirs
        __fish_complete_directories (commandline -ct)
      case :commands
        __fish_complete_command
      case '*'
        echo $line
    end
  end
end
complete -c spoold -f -a '(__spoold_complete)'`;

const SCRIPTS: Record<string, string> = { bash: BASH, zsh: ZSH, fish: FISH };
