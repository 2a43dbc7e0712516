/** The script of a {@link ReplayThread}'s thread. */
import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '../../common/errors.ts'
import { outcomeOf } from '../tasks/remote.ts'
import { ReplayedStore } from './replayedstore.ts'
import type { Answer, Call, ThreadStart } from './threadmessages.ts'

assert(parentPort !== null, 'replayworker runs in a thread only')
const port = parentPort
const say = (answer: Answer): void => port.postMessage(answer)

// The first answer is to no call: whether the store could be opened.
const opened = await outcomeOf(() => new ReplayedStore(workerData as ThreadStart))
if ('error' in opened) {
  say({ id: 0, outcome: opened })
  port.close()
} else {
  const store = opened.value
  port.on('message', ({ id, name, input }: Call) => {
    void outcomeOf(() => (store[name] as (input: unknown) => unknown)(input)).then((outcome) => {
      say({ id, outcome })
      if (name === 'close') port.close()
    })
  })
  say({ id: 0, outcome: await outcomeOf(() => store.state()) })
}
