import type { Command } from 'commander'
import { createPin, deletePin, listPins, type PinKind, type PinSummary } from '../jobs/lakes/pins.ts'
import { counted } from './count.ts'
import { parseAt, parseFor } from './options.ts'
import { stateText } from './statetext.ts'
import { addNamed, addVerb, begin, examplesText, type LoadVerb, type Run } from './verb.ts'

interface CreateOptions {
  at?: string
  branch?: string
  for?: string
  json?: boolean
  verbose?: boolean
}

type BranchOptions = Pick<CreateOptions, 'branch' | 'json' | 'verbose'>

/** What a group of verbs is called, and which entries of HEAD it is about. */
interface Group {
  name: 'tag' | 'lease'
  kind: PinKind
  description: string
  example: string
}

const TAGS: Group = { name: 'tag', kind: 'tags', description: 'name a state of a lake, and keep it until the tag is deleted', example: 'release-7' }
const LEASES: Group = {
  name: 'lease', kind: 'leases', description: 'keep a state of a lake for a reader, until the lease is deleted or over', example: 'report --for 2h',
}

/** `ltap tag …`. */
export async function addTag(program: Command, run: Run, argv: readonly string[]): Promise<void> {
  await addGroup(program, run, argv, TAGS)
}

/** `ltap lease …`. */
export async function addLease(program: Command, run: Run, argv: readonly string[]): Promise<void> {
  await addGroup(program, run, argv, LEASES)
}

async function addGroup(program: Command, run: Run, argv: readonly string[], group: Group): Promise<void> {
  const verbs = new Map<string, LoadVerb>([
    ['create', async () => (parent) => addCreate(parent, run, group)], ['list', async () => (parent) => addList(parent, run, group)],
    ['delete', async () => (parent) => addDelete(parent, run, group)],
  ])
  const { name, example } = group
  const examples = [`ltap ${name} create ./lake ${example}`, `ltap ${name} list ./lake`, `ltap ${name} delete ./lake ${example.split(' ')[0]}`]
  await addNamed(program.command(name).description(group.description).addHelpText('after', examplesText(examples)), run, verbs, argv)
}

function addCreate(parent: Command, run: Run, { name: verb, kind, example }: Group): void {
  const examples = [`ltap ${verb} create ./lake ${example}`, `ltap ${verb} create s3://bucket/shop ${example} --at 16/B374D848`]
  const command = addVerb(parent, 'create <lake> <name>', { summary: `make a ${verb} on a state, which stays then whatever gc is told`, examples })
    .option('--at <point>', 'a tag, the LSN of a state, or a time, for the last state at or before it (default: the newest state)', parseAt)
    .option('--branch <name>', 'branch of that state (default: main)')
  if (kind === 'leases') {
    command.option('--for <duration>', 'how long it lasts, such as 2h; afterwards the next gc removes it (default: until it is deleted)', parseFor)
  }
  command.action(async (lake: string, name: string, { at, branch, for: lasts, ...options }: CreateOptions) => {
    const output = begin(run, options)
    const made = await createPin(kind, { lake, name, ...(at !== undefined && { at }), ...(branch !== undefined && { branch }) }, lasts)
    await output.result(made, () => pinText(made))
  })
}

function addList(parent: Command, run: Run, { name: verb, kind }: Group): void {
  addVerb(parent, 'list <lake>', { summary: `list the ${kind} of a branch, and the states that they keep`, examples: [`ltap ${verb} list ./lake`] })
    .option('--branch <name>', 'the branch (default: main)')
    .action(async (lake: string, { branch, ...options }: BranchOptions) => {
      const output = begin(run, options)
      const pins = await listPins(kind, lake, branch)
      await output.result(pins, () => pins.map(pinText).join(''))
    })
}

function addDelete(parent: Command, run: Run, { name: verb, kind, example }: Group): void {
  const examples = [`ltap ${verb} delete ./lake ${example.split(' ')[0]}`]
  addVerb(parent, 'delete <lake> <name>', { summary: `delete a ${verb}; ltap gc removes what it alone kept`, examples })
    .option('--branch <name>', 'the branch (default: main)')
    .action(async (lake: string, name: string, { branch, ...options }: BranchOptions) => {
      const output = begin(run, options)
      const deleted = await deletePin(kind, lake, name, branch)
      await output.result({ name, deleted }, () => `${counted(deleted, verb)} ${name} deleted\n`)
    })
}

function pinText(pin: PinSummary): string {
  return `${pin.name}: ${stateText(pin)}${pin.until === null ? '' : `, until ${new Date(pin.until).toISOString()}`}\n`
}
