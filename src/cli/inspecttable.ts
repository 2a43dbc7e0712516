import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { directoryOptions, openCluster } from '../io/cluster.ts'
import { findTable, refuseUnpopulated } from '../jobs/inspect/findtable.ts'
import { TableReader } from '../jobs/inspect/tablereader.ts'
import { virtualColumnText } from '../lake/views.ts'
import { addCorruptOptions, type CorruptOptions, tellLosses } from './corruptoptions.ts'
import { addHeapRowOptions, type HeapRowOptions, printHeapRows } from './heaprowshape.ts'
import { replayFirst, type ReplayFirstOptions } from './replayfirst.ts'
import { addTargetOptions } from './replaytarget.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface InspectTableOptions extends ReplayFirstOptions, CorruptOptions, HeapRowOptions {
  database?: string
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: "rows of a stopped server's table, or of a backup's at any time, as text, read from its pages: no server, no column types to type in",
  examples: [
    'ltap inspect table ./data public.orders --limit 10',
    'ltap inspect table ./data public.orders --dead   # deleted, updated and aborted versions too',
    'ltap inspect table ./data public.orders --database shop --format csv > orders.csv',
    "ltap inspect table ./backup public.orders --wal ./archive --to '2026-01-31 12:00Z' --dead   # as it was then, with what was deleted",
  ],
}

/** `ltap inspect table`. */
export function addInspectTable(inspect: Command, run: Run): void {
  addCorruptOptions(addHeapRowOptions(addTargetOptions(addVerb(inspect, 'table <pgdata|backup> <schema.name>', TEXT))))
    .option('--work <dir>', 'with --wal or --to: folder for the replayed files, kept (default: a temporary one)')
    .option('--database <name>', 'the database; needed if several user databases have the table')
    .action(async (pgdata: string, name: string, { database, ...options }: InspectTableOptions) => {
      const output = begin(run, options)
      await replayFirst(output, pgdata, join(tmpdir(), 'ltap'), options, {}, async (files) => {
        const cluster = openCluster(files, directoryOptions(options))
        const relation = findTable(cluster, name, database)
        if (options.dead !== true) refuseUnpopulated(relation)
        for (const column of relation.virtualColumns) await output.note(`ltap: ${virtualColumnText(column)}`)
        const reader = new TableReader(cluster, relation, options.onCorrupt === 'carry' ? 'pointer' : 'error')
        try {
          await printHeapRows(run, output, reader, options)
          await tellLosses(output, cluster.losses)
        } finally {
          reader.close()
        }
      })
    })
}
