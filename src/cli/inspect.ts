import type { Command } from 'commander'
import { addNamed, type LoadVerb, type Run } from './verb.ts'

/** The verbs of `ltap inspect`, in the order of its help. */
const VERBS = new Map<string, LoadVerb>([
  ['page', async () => (await import('./inspectpage.ts')).addInspectPage],
  ['control', async () => (await import('./inspectcontrol.ts')).addInspectControl],
  ['relations', async () => (await import('./inspectrelations.ts')).addInspectRelations],
  ['table', async () => (await import('./inspecttable.ts')).addInspectTable],
  ['file', async () => (await import('./inspectfile.ts')).addInspectFile],
  ['history', async () => (await import('./inspecthistory.ts')).addInspectHistory],
  ['wal', async () => (await import('./inspectwal.ts')).addInspectWal],
  ['lake', async () => (await import('./inspectlake.ts')).addInspectLake],
])

/** `ltap inspect …`: what a heap file, a control file, a table, a table's history, the WAL, a lake holds. */
export async function addInspect(program: Command, run: Run, argv: readonly string[]): Promise<void> {
  const inspect = program.command('inspect').description('show pages, control file, relations, tables and WAL of a data directory, or a lake, as text')
  await addNamed(inspect, run, VERBS, argv)
}
