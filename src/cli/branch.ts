import type { Command } from 'commander'
import { type BranchSummary, createLakeBranch, deleteLakeBranch, listLakeBranches } from '../jobs/lakes/branches.ts'
import { counted } from './count.ts'
import { parseAt } from './options.ts'
import { stateText } from './statetext.ts'
import { addNamed, addVerb, begin, examplesText, type LoadVerb, type Run } from './verb.ts'

interface CreateOptions {
  at?: string
  from?: string
  json?: boolean
  verbose?: boolean
}

const CREATE = {
  summary: 'make a branch on a state of another one: nothing is copied',
  examples: [
    'ltap branch create s3://bucket/shop before-migration',
    "ltap branch create ./lake noon --at '2026-01-31 12:00:00Z'   # the last state at or before it",
    'ltap branch create ./lake again --from noon --at 16/B374D848',
  ],
}
const LIST = {
  summary: 'list the branches of a lake, and the states that they were made on', examples: ['ltap branch list ./lake', 'ltap branch list ./lake --json'],
}
const DELETE = { summary: 'delete a branch; ltap gc removes what it alone needed', examples: ['ltap branch delete ./lake noon'] }

const VERBS = new Map<string, LoadVerb>([
  ['create', async () => addCreate], ['list', async () => addList], ['delete', async () => addDelete],
])

/** `ltap branch …`. */
export async function addBranch(program: Command, run: Run, argv: readonly string[]): Promise<void> {
  const examples = [CREATE, LIST, DELETE].map(({ examples: [first = ''] }) => first)
  const group = program.command('branch').description('make, list and delete branches of a lake').addHelpText('after', examplesText(examples))
  await addNamed(group, run, VERBS, argv)
}

function addCreate(branch: Command, run: Run): void {
  addVerb(branch, 'create <lake> <name>', CREATE)
    .option('--at <point>', 'a tag, the LSN of a state, or a time, for the last state at or before it (default: the newest state)', parseAt)
    .option('--from <branch>', 'branch of that state (default: main)')
    .action(async (lake: string, name: string, { at, from, ...options }: CreateOptions) => {
      const output = begin(run, options)
      const made = await createLakeBranch({ lake, name, ...(at !== undefined && { at }), ...(from !== undefined && { branch: from }) })
      await output.result(made, () => branchText(made))
    })
}

function addList(branch: Command, run: Run): void {
  addVerb(branch, 'list <lake>', LIST).action(async (lake: string, options: { json?: boolean; verbose?: boolean }) => {
    const output = begin(run, options)
    const branches = await listLakeBranches(lake)
    await output.result(branches, () => branches.map(branchText).join(''))
  })
}

function addDelete(branch: Command, run: Run): void {
  addVerb(branch, 'delete <lake> <name>', DELETE).action(async (lake: string, name: string, options: { json?: boolean; verbose?: boolean }) => {
    const output = begin(run, options)
    await deleteLakeBranch(lake, name)
    await output.result({ name, deleted: true }, () => `branch ${name} is deleted\n`)
  })
}

function branchText({ name, parent, from, newest, states, tags, leases }: BranchSummary): string {
  const begun = parent === null || from === null ? '' : `, made from ${parent} at ${stateText(from)}`
  if (newest === null) return `${name}: unfinished, made or deleted by a program that was killed: delete it${begun}\n`
  const pins = [...(tags > 0 ? [counted(tags, 'tag')] : []), ...(leases > 0 ? [counted(leases, 'lease')] : [])]
  return `${name}: ${[newest.sequence === 0 ? 'empty' : `at ${stateText(newest)}`, counted(states, 'state'), ...pins].join(', ')}${begun}\n`
}
