/**
 * The scripts of `tare completion`. All ask `tare __complete WORDS...`, which answers with a word a line, a tab and its meaning, and a last line that says what kind of
 * words they are: `:words`, `:open` (no space after them), `:files`, `:dirs`. So what a shell offers is what this Tare's flag tables say.
 */
export const completionScripts: Readonly<Record<'bash' | 'zsh' | 'fish', string>> = {
  bash: `# bash completion of tare: source <(tare completion bash), or as a file in /etc/bash_completion.d
_tare() {
  local line=\${COMP_LINE:0:COMP_POINT} word i
  local -a words=()
  # Bash splits words at = and :, too. What stands together belongs together.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if ((i == 0)) || [[ $line == [[:space:]]* ]]; then
      line=\${line#"\${line%%[![:space:]]*}"}
      words+=("")
    fi
    [[ $line == "$word"* ]] || word=$line
    line=\${line#"$word"}
    words[\${#words[@]} - 1]+=$word
  done
  local current=\${words[\${#words[@]} - 1]} answer kind
  answer=$("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null) || return
  kind=\${answer##*$'\\n'}
  # Only what is behind the last split is replaced.
  local kept= split
  for split in = :; do
    [[ $COMP_WORDBREAKS == *"$split"* && $current == *"$split"* ]] || continue
    word=\${current%"\${current##*"$split"}"}
    ((\${#word} > \${#kept})) && kept=$word
  done
  COMPREPLY=()
  while IFS=$'\\t' read -r word _; do
    [[ $word == :* || -z $word ]] || COMPREPLY+=("\${word#"$kept"}")
  done <<<"$answer"
  case $kind in
    :open) compopt -o nospace 2>/dev/null ;;
    :files | :dirs)
      compopt -o filenames 2>/dev/null
      [[ $kind == :dirs ]] && split=-d || split=-f
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen "$split" -- "\${current#"$kept"}")
      ;;
  esac
}
complete -F _tare tare
`,
  zsh: `#compdef tare
# zsh completion of tare: source <(tare completion zsh), or as a file _tare in a directory of $fpath
_tare() {
  local -a answer offers described extra
  local line word kind
  answer=("\${(@f)$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
  kind=\${answer[-1]}
  for line in "\${(@)answer[1,-2]}"; do
    word=\${line%%$'\\t'*}
    offers+=("$word")
    [[ $line == *$'\\t'?* ]] && described+=("$word -- \${line#*$'\\t'}") || described+=("$word")
  done
  [[ $kind == :open ]] && extra=(-S '')
  (( \${#offers} )) && compadd -Q "\${(@)extra}" -l -d described -a offers
  case $kind in
    :files) compset -P '*='; _files ;;
    :dirs) compset -P '*='; _files -/ ;;
  esac
}
if [[ \${zsh_eval_context[-1]} == loadautofunc ]]; then
  _tare "$@"
else
  compdef _tare tare
fi
`,
  fish: `# fish completion of tare: tare completion fish | source, or as ~/.config/fish/completions/tare.fish
function __tare_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l current (commandline -ct)
    set -l answer ($program __complete -- $words "$current" 2>/dev/null)
    test (count $answer) -gt 0; or return
    set -l kind $answer[-1]
    set -e answer[-1]
    test (count $answer) -gt 0; and printf '%s\\n' $answer
    switch $kind
        case :files
            __fish_complete_path (string replace -r '^--[^=]*=' '' -- "$current")
        case :dirs
            __fish_complete_directories (string replace -r '^--[^=]*=' '' -- "$current")
    end
end
complete -c tare -f -a '(__tare_complete)'
`,
};
