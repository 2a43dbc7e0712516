import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseColumnList } from '../catalog/columnlist.ts'
import type { TupleDesc } from '../catalog/tupledesc.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { ParseError } from '../datum/codec.ts'
import { databaseEncoding } from '../datum/encoding/encodings.ts'
import { RelationFileReader } from '../jobs/inspect/relationfile.ts'
import { addUnknownOption, parseMajor, tellUnknown } from './corruptoptions.ts'
import { EXIT_BAD_INPUT } from './failure.ts'
import { DamageLog, HEAP_ROW_SHAPE, tellHeap } from './heaprowshape.ts'
import { parseLimit } from './options.ts'
import { addFormatOption, formatOf, type RowFormatName, RowPrinter } from './rowprinter.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface InspectFileOptions {
  columns: TupleDesc
  toast?: string
  major?: PgMajor
  encoding: number
  unknownTransactions: 'hide' | 'show'
  dead?: boolean
  limit?: number
  format?: RowFormatName
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: "rows of one relation's file, whose columns you know, with no cluster around it",
  examples: [
    'ltap inspect file ./16385 --columns "id int, name varchar(20), price numeric(10,2), tags text[], at timestamp with time zone"',
    'ltap inspect file ./16385 --columns "id int, - 4 i, body text" --toast ./16388 --format csv   # a dropped int, and values out of line',
    'ltap inspect file ./16385 --columns "id bigint, shape raw -1 d" --dead   # a type that is not built in, in hex; all row versions',
  ],
}

const UTF8 = 6

/** `ltap inspect file`. */
export function addInspectFile(inspect: Command, run: Run): void {
  addUnknownOption(addFormatOption(addVerb(inspect, 'file <relation-file>', TEXT)))
    .requiredOption('--columns <list>',
      'all columns as in CREATE TABLE, in order; a dropped one: - <length> <alignment> (c, s, i or d); any enum: enum', parseColumns)
    .option('--toast <file>', 'file of its TOAST relation')
    .option('--major <number>', 'major version of the server (default: of PG_VERSION beside the file, else 18)', parseMajor)
    .addOption(new Option('--encoding <name>', 'encoding of the database').argParser(parseEncoding).default(UTF8, 'UTF8'))
    .option('--dead', 'all row versions, with what became of them')
    .option('--limit <count>', 'at most so many rows', parseLimit)
    .action(async (file: string, { columns: desc, toast, major, encoding, unknownTransactions, dead = false, ...options }: InspectFileOptions) => {
      const output = begin(run, options)
      const reader = new RelationFileReader({
        file, desc, encoding, unknownTransactions, ...(toast !== undefined && { toast }), ...(major !== undefined && { major }),
      })
      try {
        const damage = new DamageLog()
        const rows = reader.rows({ dead, onDamage: damage.add })
        const shape = { ...HEAP_ROW_SHAPE, columns: reader.columns }
        await new RowPrinter(output, formatOf(output, options.format), shape, damage.lines).print(rows, options.limit ?? Infinity)
        await damage.tellRest(output)
        await tellHeap(output, reader)
        await tellUnknown(output, reader.unknownRows, unknownTransactions)
        if (damage.count > 0) run.exitCode = EXIT_BAD_INPUT
      } finally {
        reader.close()
      }
    })
}

function parseColumns(text: string): TupleDesc {
  try {
    return parseColumnList(text)
  } catch (error) {
    if (error instanceof ParseError) throw new InvalidArgumentError(`${error.message}.`)
    throw error
  }
}

function parseEncoding(text: string): number {
  const number = databaseEncoding(text)
  if (number === undefined) throw new InvalidArgumentError('a name of pg_encoding_to_char is needed, such as UTF8, LATIN1 or SQL_ASCII.')
  return number
}
