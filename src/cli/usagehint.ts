/** Verbs whose first argument is the lake, without `--lake`. */
const LAKE_IS_ARGUMENT = new Set(['gc', 'merge', 'publish', 'branch', 'tag', 'lease', 'inspect'])

/**
 * What to write instead, for a command line that is nearly right.
 * @param message of the error, as commander has it
 * @returns empty if nothing is known
 */
export function usageHint(argv: readonly string[], message: string): string {
  const [verb = '', second = ''] = argv
  if (message.includes("unknown option '--lake'") && LAKE_IS_ARGUMENT.has(verb)) {
    const isOfGroup = second !== '' && !['gc', 'merge', 'publish'].includes(verb)
    return `the lake is an argument here: ltap ${isOfGroup ? `${verb} ${second}` : verb} ./lake`
  }
  if (message.includes("required option '--lake") && argv.length > 1) {
    return misspelledLake(argv) ?? `name the lake with --lake: ltap ${verb} --lake ./lake`
  }
  if (message.includes("unknown option '--at'") && verb === 'rebuild') {
    return 'rebuild takes the state at the LSN of the copy; for an earlier state: ltap restore --to <LSN>'
  }
  return ''
}

/** Commander names what is missing before what it does not know. */
function misspelledLake(argv: readonly string[]): string | undefined {
  const wrong = argv.find((word) => /^--[lake]{3,6}(?:=|$)/.test(word) && !/^--lake(?:=|$)/.test(word))
  return wrong && `did you mean --lake in place of ${wrong.replace(/=.*/s, '')}?`
}
