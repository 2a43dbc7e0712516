import type { Clock } from '../../src/common/clock.ts'
import type { Random as RandomPort } from '../../src/engine/random.ts'
import { Random } from '../support/random.ts'
import type { Compressor } from '../../src/parquet/compressor.ts'
import { loadZstd } from '../../src/parquet/zstdcompressor.ts'

/** An invariant does not hold. */
export class SimulationFailure extends Error {}

export function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new SimulationFailure(what)
}

interface Event {
  at: number
  order: number
  run: () => void
  /** It touches what several machines see. */
  isShared: boolean
}

/** States as plain JSON: the default compressor takes most of the time of a small simulation. */
const NO_COMPRESSION: Compressor = { name: 'none', compress: (bytes) => bytes, decompress: (bytes) => bytes }
/** One is enough for all machines: the same bytes become the same bytes. It is loaded before the time of a simulation begins. */
const zstd = await loadZstd()

/** Virtual time, and everything that will happen in it. One event runs at a time, until nothing that it woke can go on. */
export class World {
  readonly seed: number
  readonly compressor: Compressor
  now = 0
  /** What no actor could say to anybody: thrown at the end of the event. */
  failure: unknown
  private readonly events: Event[] = []
  /** Work of what is no process: nothing happens until it has ended. */
  private readonly outsiders = new Set<Promise<unknown>>()
  private order = 0
  /**
   * Which of so many shared events is next, whatever their times; undefined: the one whose time has come. What only one machine sees commutes with what
   * others do, so it goes first, and no order of it is another case.
   */
  choose: ((count: number) => number) | undefined
  /** The trace of a run, for who looks for the reason of a failure. */
  readonly trace: string[] | undefined

  constructor(seed: number, isTraced = false) {
    this.seed = seed
    this.compressor = seed % 4 === 0 ? zstd : NO_COMPRESSION
    this.trace = isTraced ? [] : undefined
  }

  /** Numbers that do not depend on what others draw. */
  random(name: string): Random {
    return new Random([...name].reduce((hash, letter) => Math.imul(hash, 31) + letter.codePointAt(0)!, Math.imul(this.seed, 0x9e3779b1)))
  }

  note(text: () => string): void {
    this.trace?.push(`${String(Math.round(this.now)).padStart(7)} ${text()}`)
  }

  /** Work that takes no time, and may need some turns of the event loop. What it throws ends the simulation, if nobody awaits it. */
  outside<T>(work: Promise<T>): Promise<T> {
    const done = work.then(() => undefined, (error: unknown) => { this.failure ??= error }).then(() => void this.outsiders.delete(done))
    this.outsiders.add(done)
    return work
  }

  at(delay: number, run: () => void, isShared = false): void {
    const event = { at: this.now + delay, order: this.order++, run, isShared }
    this.events.push(event)
    let i = this.events.length - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!isBefore(event, this.events[parent]!)) break
      this.events[i] = this.events[parent]!
      i = parent
    }
    this.events[i] = event
  }

  /** Goes on while `isOpen`, until nothing happens any more. */
  async run(isOpen: () => boolean): Promise<void> {
    while (isOpen() && (this.events.length > 0 || await this.isWoken())) {
      const event = this.choose ? this.chosen(this.choose) : this.pop()
      this.now = Math.max(this.now, event.at)
      event.run()
      await settled()
      while (this.outsiders.size > 0) {
        await Promise.all(this.outsiders)
        await settled()
      }
      if (this.failure !== undefined) throw this.failure
    }
  }

  /** Where nothing is left to happen, somebody may wait for the system: for a module that is loaded when it is needed first. */
  private async isWoken(): Promise<boolean> {
    for (let left = 200; left > 0 && this.events.length === 0; left--) await new Promise((resolve) => { setTimeout(resolve, 10) })
    return this.events.length > 0
  }

  private chosen(choose: (count: number) => number): Event {
    this.events.sort((a, b) => a.order - b.order)
    const own = this.events.findIndex(({ isShared }) => !isShared)
    return this.events.splice(own >= 0 ? own : choose(this.events.length), 1)[0]!
  }

  private pop(): Event {
    const [first] = this.events as [Event]
    const last = this.events.pop()!
    if (this.events.length === 0) return first
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= this.events.length) break
      if (child + 1 < this.events.length && isBefore(this.events[child + 1]!, this.events[child]!)) child++
      if (!isBefore(this.events[child]!, last)) break
      this.events[i] = this.events[child]!
      i = child
    }
    this.events[i] = last
    return first
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || a.at === b.at && a.order < b.order
}

/** Once every promise that can go on did. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'

/** A process: what it waits for is lost when it crashes. */
export class Machine {
  readonly name: string
  readonly world: World
  readonly numbers: Random
  readonly clock: Clock
  readonly random: RandomPort
  alive = true
  onCrash: (() => void) | undefined
  /** Called once, however the machine ends. */
  onEnd: (() => void) | undefined

  constructor(world: World, name: string) {
    this.world = world
    this.name = name
    this.numbers = world.random(name)
    this.clock = { now: () => Math.floor(world.now), sleep: (ms) => this.later(ms, () => undefined) }
    this.random = {
      nonce: () => Array.from({ length: 20 }, () => DIGITS[this.numbers.int(36)]).join(''),
      fraction: () => this.numbers.next() / 2 ** 32,
    }
  }

  /** Of what nobody awaits, nothing goes on. */
  crash(): void {
    if (!this.alive) return
    this.end()
    this.world.note(() => `${this.name} crashes`)
    this.onCrash?.()
  }

  end(): void {
    this.alive = false
    this.onEnd?.()
    this.onEnd = undefined
  }

  /** What `value` gives after so long; never, if the machine is gone by then. */
  later<T>(ms: number, value: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.world.at(ms, () => {
        if (!this.alive) return
        try {
          resolve(value())
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      })
    })
  }

  /** Runs `body` on its own; what it throws ends the simulation. */
  spawn(body: () => Promise<void>): void {
    this.world.at(0, () => {
      body().catch((error: unknown) => {
        if (this.alive) this.world.failure ??= error
      })
    })
  }
}
