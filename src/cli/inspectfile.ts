import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseColumnList } from '../catalog/columnlist.ts'
import type { TupleDesc } from '../catalog/tupledesc.ts'
import type { PgMajor } from '../common/pgversion.ts'
import { ColumnListError } from '../catalog/columnlisterror.ts'
import { databaseEncoding } from '../datum/encoding/encodings.ts'
import { RelationFileReader } from '../jobs/inspect/relationfile.ts'
import { addUnknownOption, parseMajor } from './corruptoptions.ts'
import { counted } from './count.ts'
import { EXIT_BAD_INPUT } from './failure.ts'
import { addHeapRowOptions, type HeapRowOptions, printHeapRows } from './heaprowshape.ts'
import type { Output } from './output.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface InspectFileOptions extends HeapRowOptions {
  columns: TupleDesc
  toast?: string
  major?: PgMajor
  encoding: number
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
  addUnknownOption(addHeapRowOptions(addVerb(inspect, 'file <relation-file>', TEXT)))
    .requiredOption('--columns <list>',
      'all columns as in CREATE TABLE, in order; a dropped one: - <length> <alignment> (c, s, i or d); any enum: enum', parseColumns)
    .option('--toast <file>', 'file of its TOAST relation')
    .option('--major <number>', 'major version of the server (default: of PG_VERSION beside the file, else 18)', parseMajor)
    .addOption(new Option('--encoding <name>', 'encoding of the database').argParser(parseEncoding).default(UTF8, 'UTF8'))
    .action(async (file: string, { columns: desc, toast, major, encoding, ...options }: InspectFileOptions) => {
      const output = begin(run, options)
      const reader = new RelationFileReader({
        file, desc, encoding, unknownTransactions: options.unknownTransactions, ...(toast !== undefined && { toast }), ...(major !== undefined && { major }),
      })
      try {
        await printHeapRows(run, output, reader, options)
        await tellMisfit(run, output, reader)
      } finally {
        reader.close()
      }
    })
}

/** What says that --columns are not those of the file. */
async function tellMisfit(run: Run, output: Output, { leftOverRows, attributesMax, attributes }: RelationFileReader): Promise<void> {
  if (leftOverRows > 0) {
    run.exitCode = EXIT_BAD_INPUT
    const what = `${counted(leftOverRows, 'row version')} with bytes behind the last of the --columns`
    await output.note(`ltap: ${what}: these are not the columns of this file, or not in this order, and the values are not to be trusted`)
  }
  if (attributesMax > 0 && attributesMax < attributes) {
    const what = `no row version has more than ${counted(attributesMax, 'attribute')}, and --columns has ${attributes}`
    await output.note(`ltap: ${what}: the others are shown as NULL: they were added after the last row was written, or --columns does not fit this file`)
  }
}

function parseColumns(text: string): TupleDesc {
  try {
    return parseColumnList(text)
  } catch (error) {
    if (error instanceof ColumnListError) throw new InvalidArgumentError(`${error.message}.`)
    throw error
  }
}

function parseEncoding(text: string): number {
  const number = databaseEncoding(text)
  if (number === undefined) throw new InvalidArgumentError('a name of pg_encoding_to_char is needed, such as UTF8, LATIN1 or SQL_ASCII.')
  return number
}
