import { type Command, InvalidArgumentError } from 'commander'
import { summarizeLake } from '../jobs/inspect/lakesummary.ts'
import { S3_STANDARD } from '../jobs/inspect/requestprices.ts'
import { lakeText } from './laketext.ts'
import { addVerb, begin, type Run } from './verb.ts'

const TEXT = {
  summary: 'show a lake: its states and what their commits cost, branches and tags, layers and sizes by table, orphans',
  examples: [
    'ltap inspect lake ./lake', `ltap inspect lake s3://bucket/lake --json | jq '.tables[] | select(.layers > 10)'`,
    'ltap inspect lake s3://bucket/lake --price-put 0.0054 --price-get 0.00043',
  ],
}

interface InspectLakeOptions {
  branch?: string
  columns?: boolean
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
    .option('--columns', 'with --json: sizes by column, from the footers of the files')
    .option('--price-put <usd>', 'of 1,000 PUT or LIST, for the estimate of costs', parsePrice, S3_STANDARD.put)
    .option('--price-get <usd>', 'of 1,000 GET or HEAD', parsePrice, S3_STANDARD.get)
    .option('--price-storage <usd>', 'of a GB for a month', parsePrice, S3_STANDARD.storage)
    .action(async (place: string, options: InspectLakeOptions) => {
      const output = begin(run, options)
      const { branch, columns = false, pricePut: put, priceGet: get, priceStorage: storage } = options
      const summary = await summarizeLake(place, { columns, prices: { put, get, storage }, ...(branch !== undefined && { branch }) })
      await output.result(summary, () => lakeText(summary, run.verbose))
    })
}

function parsePrice(text: string): number {
  if (!/^\d{1,6}(?:\.\d{1,9})?$/.test(text)) throw new InvalidArgumentError('write it in dollars, such as 0.005.')
  return Number(text)
}
