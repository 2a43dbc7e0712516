import type { Command } from 'commander'
import { dropJob, listJobs, type OpenJobSummary } from '../jobs/scaleout/openjobs.ts'
import { addVerb, begin, examplesText, type Run } from './verb.ts'

interface JobOptions {
  lake: string
  json?: boolean
  verbose?: boolean
}

const LIST = {
  summary: 'list the jobs of a lake that were planned and not committed: gc spares what they wrote',
  examples: ['ltap job list --lake s3://bucket/shop', 'ltap job list --lake ./lake --json'],
}
const DROP = {
  summary: 'give a planned job up: a commit of it is refused from then on, and ltap gc removes what its workers wrote',
  examples: ['ltap job drop job-3k9x0a2m --lake s3://bucket/shop   # by its name, or by its id'],
}

/** `ltap job list`, `ltap job drop`. */
export function addJob(program: Command, run: Run): void {
  const group = program.command('job').description('jobs that several workers do for one commit: list, drop')
    .addHelpText('after', examplesText([LIST, DROP].map(({ examples: [first = ''] }) => first)))
  addVerb(group, 'list', LIST)
    .requiredOption('--lake <dir|url>', 'folder of the lake, or s3://bucket/prefix')
    .action(async ({ lake, ...options }: JobOptions) => {
      const output = begin(run, options)
      const jobs = await listJobs(lake)
      await output.result(jobs, () => jobs.length === 0 ? `${lake} has no open job\n` : jobs.map((job) => `${jobText(job)}\n`).join(''))
    })
  addVerb(group, 'drop <job>', DROP)
    .requiredOption('--lake <dir|url>', 'folder of the lake, or s3://bucket/prefix')
    .action(async (job: string, { lake, ...options }: JobOptions) => {
      const output = begin(run, options)
      const dropped = await dropJob(lake, job)
      await output.result(dropped, () => `dropped: ${jobText(dropped)}; ltap gc removes what its workers wrote\n`)
    })
}

function jobText({ id, name, lsn, from, planned }: OpenJobSummary): string {
  return `${name} (${id}): ${from === null ? 'a new lake' : `from ${from}`} to ${lsn}${planned ? '' : '; not planned to its end'}`
}
