import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { rebuildLake } from '../jobs/rebuildlake.ts'
import { counted, megabytes } from './count.ts'
import { addKnownOptions, addOnCorruptOption, knownOf, type KnownOptions, tellLosses } from './corruptoptions.ts'
import { withProgress } from './jobprogress.ts'
import { addCodecsOption, addLakeOptions, type LakeOptions, openOptionsOf, parseTable, parseWorkers } from './options.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface RebuildOptions extends KnownOptions, LakeOptions {
  onCorrupt: 'fail' | 'carry'
  pgdata: string
  database?: string
  table?: string
  force?: boolean
  workers: number
  codecs: string[]
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: "overwrite the heap files of a data directory's copy with pages rebuilt from Parquet alone",
  examples: [
    'cp -a ./data ./copy && ltap rebuild --lake ./lake --pgdata ./copy && pg_ctl -D ./copy start',
    'ltap rebuild --lake ./lake --pgdata ./copy --database shop --table public.orders',
    'ltap rebuild --lake s3://bucket/lake --pgdata ./copy   # the state at the LSN of the copy',
    'ltap rebuild --lake ./lake --pgdata ./copy --on-corrupt carry   # into a copy that has lost pg_control',
  ],
}

/** `ltap rebuild`. */
export function addRebuild(program: Command, run: Run): void {
  addLakeOptions(addCodecsOption(addKnownOptions(addOnCorruptOption(addVerb(program, 'rebuild', TEXT)))))
    .requiredOption('--pgdata <dir>', 'a stopped copy of the data directory; its heap files are overwritten')
    .option('--database <name>', 'only this database')
    .option('--table <schema.name>', 'only this table and its TOAST relation', parseTable)
    .option('--force', 'also overwrite the data directory that the lake was read from, and tablespaces outside the copy')
    .option('--workers <count>', 'worker threads', parseWorkers, availableParallelism())
    .action(async ({ lake, branch, cacheSize, pgdata, database, table, force = false, workers, codecs, onCorrupt, ...options }: RebuildOptions) => {
      const output = begin(run, options)
      const choice = {
        ...(database !== undefined && { database }), ...(table !== undefined && { table }), 
        ...openOptionsOf({ ...(branch !== undefined && { branch }), ...(cacheSize !== undefined && { cacheSize }) }),
      }
      const report = await withProgress(output, 'rebuild', (onProgress) => rebuildLake({
        lake, pgdata, force, workers, codecs, onCorrupt, onProgress, onNotice: output.notice, ...choice, ...knownOf(options),
      }))
      await output.result(report, () => {
        const { relations, pages, bytes } = report
        return `${counted(relations, 'relation')} rebuilt in ${pgdata}: ${counted(pages, 'page')}, ${megabytes(bytes)}\n`
      })
      await tellLosses(output, report.damage)
    })
}
