import type { Command } from 'commander'
import { directoryOptions, openCluster } from '../io/cluster.ts'
import { listHeapRelations, type ListedRelation } from '../jobs/inspect/relationlist.ts'
import { lakeRelationName } from '../jobs/lake.ts'
import { isUnasked, notReadText } from '../lake/notread.ts'
import { alignedFormat } from '../jobs/query/tabletext.ts'
import { addCorruptOptions, type CorruptOptions, tellLosses } from './corruptoptions.ts'
import { EXIT_BAD_INPUT } from './failure.ts'
import { addExcludeOption, collect } from './options.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface InspectRelationsOptions extends CorruptOptions {
  database: string[]
  exclude: string[]
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'list every heap relation of a stopped server with its file and size',
  examples: [
    'ltap inspect relations ./data --database shop',
    `ltap inspect relations ./data --json | jq 'sort_by(-.bytes)[:10][] | .schema + "." + .name'`,
  ],
}

const HEADING = ['database', 'schema', 'name', 'kind', 'file', 'blocks', 'bytes']
const IS_NUMBER = [false, false, false, false, false, true, true]

/** `ltap inspect relations`. */
export function addInspectRelations(inspect: Command, run: Run): void {
  addExcludeOption(addCorruptOptions(addVerb(inspect, 'relations <pgdata>', TEXT)))
    .option('--database <name>', 'only this database (repeatable)', collect, [])
    .action(async (pgdata: string, { database, exclude, ...options }: InspectRelationsOptions) => {
      const output = begin(run, options)
      const cluster = openCluster(pgdata, directoryOptions(options))
      const { relations, notRead } = listHeapRelations(cluster, database, exclude)
      await output.result(relations, () => listText(relations))
      for (const entry of notRead.filter(isUnasked)) await output.note(`ltap: not listed: ${notReadText(entry)}`)
      await tellLosses(output, cluster.losses)
      for (const relation of relations.filter(({ trailingBytes }) => trailingBytes > 0)) {
        await output.note(`ltap: ${lakeRelationName(relation)}: ${relation.trailingBytes} bytes behind the last whole block, which no server reads`)
      }
      for (const { problem } of relations) {
        if (problem === null) continue
        run.exitCode = EXIT_BAD_INPUT
        await output.note(`ltap: ${problem}: restore it from a backup, or transcode the others with --on-corrupt carry or --exclude`)
      }
    })
}

function listText(relations: readonly ListedRelation[]): string {
  const rows = relations.map((relation) => [
    relation.database ?? '(shared)', relation.schema, relation.name, kindText(relation), relation.file,
    relation.blocks === null ? 'damaged' : String(relation.blocks), relation.bytes === null ? '' : String(relation.bytes),
  ])
  const text = alignedFormat(HEADING, IS_NUMBER, rows)
  return text.head() + rows.map(text.row).join('') + text.tail(rows.length)
}

function kindText({ kind, unlogged, visible, populated }: ListedRelation): string {
  return `${unlogged ? 'unlogged ' : ''}${kind}${populated ? '' : ', not populated'}${visible ? '' : ', not visible'}`
}
