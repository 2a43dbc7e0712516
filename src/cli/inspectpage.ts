import { type Command, InvalidArgumentError } from 'commander'
import { readHeapFile, trailingBytesOf } from '../io/datadir/heapfile.ts'
import { describePage, formatPage } from './pagedescription.ts'
import { addVerb, begin, type Run } from './verb.ts'

interface InspectPageOptions {
  block?: number
  hex?: boolean
  json?: boolean
  verbose?: boolean
}

const TEXT = {
  summary: 'decode pages of a heap file: header, line pointers, tuple headers, checksum',
  examples: [
    'ltap inspect page data/base/16384/16385 --block 0',
    "ltap inspect page data/base/16384/16385.1 --block 3 --hex   # block 131075 of the relation, with tuples' bytes",
    'ltap inspect page data/base/16384/16385 --json | jq .[].header.lsn',
  ],
}

/** `ltap inspect page`. */
export function addInspectPage(inspect: Command, run: Run): void {
  addVerb(inspect, 'page <file>', TEXT)
    .option('--block <number>', 'only this block of the file, from 0', parseBlock)
    .option('--hex', "print the bytes of the items, too")
    .action(async (file: string, options: InspectPageOptions) => {
      const output = begin(run, options)
      let count = 0
      for (const { block, forkBlock, page } of readHeapFile(file, options.block)) {
        const description = describePage(page, block, forkBlock, options.hex === true)
        const separator = count++ === 0 ? '[\n' : ',\n'
        if (output.json) await output.write(`${separator}${JSON.stringify(description)}`)
        else await output.print(formatPage(description))
      }
      const trailing = trailingBytesOf(file)
      if (trailing > 0) await output.note(`ltap: ${trailing} bytes behind the last whole block, which no server reads`)
      if (output.json) await output.write(count === 0 ? '[]\n' : '\n]\n')
      else if (count === 0) await output.note('the file has no whole page')
    })
}

function parseBlock(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('a block number is needed.')
  return Number(text)
}
