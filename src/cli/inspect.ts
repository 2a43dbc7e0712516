import type { Command } from 'commander'
import { addInspectControl } from './inspectcontrol.ts'
import { addInspectFile } from './inspectfile.ts'
import { addInspectHistory } from './inspecthistory.ts'
import { addInspectPage } from './inspectpage.ts'
import { addInspectRelations } from './inspectrelations.ts'
import { addInspectTable } from './inspecttable.ts'
import { addInspectWal } from './inspectwal.ts'
import type { Run } from './verb.ts'

/** `ltap inspect …`: what a heap file, a control file, a table, a table's history, the WAL holds. */
export function addInspect(program: Command, run: Run): void {
  const inspect = program.command('inspect').description('show pages, control file, relations, tables and WAL of a data directory as text')
  addInspectPage(inspect, run)
  addInspectControl(inspect, run)
  addInspectRelations(inspect, run)
  addInspectTable(inspect, run)
  addInspectFile(inspect, run)
  addInspectHistory(inspect, run)
  addInspectWal(inspect, run)
}
