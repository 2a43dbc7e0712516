import { type Command, InvalidArgumentError } from 'commander'
import { EnvironmentError } from '../common/errors.ts'
import { writeFileAtOnce } from '../io/disk/create.ts'
import { readPart } from '../io/disk/files.ts'
import { refuseScheme } from '../io/disk/localpath.ts'
import { summarizeLake } from '../jobs/inspect/lakesummary.ts'
import { S3_STANDARD } from '../jobs/inspect/requestprices.ts'
import { lakePage, PAGE_START } from './lakepage/lakepage.ts'
import { lakeText } from './laketext.ts'
import { addVerb, begin, type Run } from './verb.ts'

const TEXT = {
  summary: 'show a lake: its states and what their commits cost, branches and tags, layers and sizes by table, orphans',
  examples: [
    'ltap inspect lake ./lake', `ltap inspect lake s3://bucket/lake --json | jq '.tables[] | select(.layers > 10)'`,
    'ltap inspect lake s3://bucket/lake --html lake.html', 'ltap inspect lake s3://bucket/lake --price-put 0.0054 --price-get 0.00043',
  ],
}

interface InspectLakeOptions {
  branch?: string
  columns?: boolean
  html?: string
  pricePut: number
  priceGet: number
  priceStorage: number
  json?: boolean
  verbose?: boolean
}

/** `ltap inspect lake`. */
export function addInspectLake(inspect: Command, run: Run): void {
  addVerb(inspect, 'lake <lake>', TEXT)
    .option('--branch <name>', 'the branch (default: main)')
    .option('--html <file>', 'write a page for a browser, with charts')
    .option('--columns', 'with --json: sizes by column, from the footers of the files')
    .option('--price-put <usd>', 'of 1,000 PUT or LIST, for the estimate of costs', parsePrice, S3_STANDARD.put)
    .option('--price-get <usd>', 'of 1,000 GET or HEAD', parsePrice, S3_STANDARD.get)
    .option('--price-storage <usd>', 'of a GB for a month', parsePrice, S3_STANDARD.storage)
    .action(async (place: string, options: InspectLakeOptions) => {
      const output = begin(run, options)
      const { branch, html, columns = html !== undefined, pricePut: put, priceGet: get, priceStorage: storage } = options
      if (html !== undefined) refuseOtherFile(html)
      const summary = await summarizeLake(place, { columns, prices: { put, get, storage }, ...(branch !== undefined && { branch }) })
      if (html !== undefined) writeFileAtOnce(html, lakePage(summary))
      await output.result(summary, () => lakeText(summary, run.verbose))
    })
}

/** A mistyped name must not cost a file. @throws EnvironmentError file.exists; UnsupportedError path.scheme */
function refuseOtherFile(path: string): void {
  refuseScheme(path)
  const begin = new Uint8Array(PAGE_START.length)
  const length = readPart(path, begin, begin.length, 0)
  if (length === undefined || Buffer.from(begin.subarray(0, length)).toString('latin1') === PAGE_START) return
  throw new EnvironmentError('file.exists', 'a file of that name is there, and it is no page of ltap inspect lake: name another one', { file: path })
}

function parsePrice(text: string): number {
  if (!/^\d{1,6}(?:\.\d{1,9})?$/.test(text)) throw new InvalidArgumentError('write it in dollars, such as 0.005.')
  return Number(text)
}
