import type { Command } from 'commander'
import { isUnasked, type NotRead, notReadText } from '../lake/notread.ts'
import { counted } from './count.ts'
import { EXIT_NO } from './failure.ts'
import type { Output } from './output.ts'
import type { Run } from './verb.ts'

/** Names in the warning; the summary has more, --json all. */
const NAMED_MAX = 3

export function addStrictOption(command: Command): Command {
  return command.option('--strict', 'exit with 1 if a relation of the cluster is not in the lake, unless it was excluded')
}

/** With --json: names on stderr each relation of the cluster that is not in the lake although the user did not exclude it. */
export async function warnNotRead(run: Run, output: Output, notRead: readonly NotRead[], strict = false): Promise<void> {
  const unasked = notRead.filter(isUnasked)
  if (unasked.length === 0) return
  if (strict) run.exitCode = EXIT_NO
  // The summary for people has them, on stdout.
  if (!output.json) return
  const more = unasked.length > NAMED_MAX ? ` and ${unasked.length - NAMED_MAX} more` : ''
  const names = `${unasked.slice(0, NAMED_MAX).map(notReadText).join('; ')}${more}`
  await output.note(`ltap: warning: ${counted(unasked.length, 'relation')} of the cluster ${unasked.length === 1 ? 'is' : 'are'} not in the lake: ${names}`)
}
