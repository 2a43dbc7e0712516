import type { LakePorts } from '../../src/engine/lake.ts'
import type { Random } from '../support/random.ts'
import { NO_FAULTS, SimStore } from './simstore.ts'
import { isExpected } from './simwriter.ts'
import { Machine, type World } from './world.ts'

/** A kind of process: one machine of it runs at a time, and another one begins when it ends. */
export interface Role {
  readonly name: string
  readonly pause: number
  readonly body: (machine: Machine) => Promise<void>
  isOver?: boolean
}

/** The machines of a simulation: who crashes is followed by another one. */
export class Crew {
  readonly world: World
  readonly store: SimStore
  readonly random: Random
  protected readonly machines: Machine[] = []
  protected isOver = false

  constructor(world: World) {
    this.world = world
    this.random = world.random('root')
    this.store = new SimStore(world, NO_FAULTS)
  }

  protected keepRunning(role: Role): void {
    const random = this.world.random(`${role.name} supervisor`)
    let count = 0
    const start = (): void => {
      if (this.isOver || role.isOver) return
      const machine = this.machine(`${role.name} ${++count}`)
      const over = (): void => {
        machine.end()
        this.world.at(random.int(role.pause), start)
      }
      this.world.at(random.int(role.pause), () => {
        role.body(machine).then(over, (error: unknown) => {
          if (!machine.alive) return
          if (!isExpected(error)) this.world.failure ??= error
          over()
        })
      })
      machine.onCrash = () => this.world.at(random.int(role.pause), start)
    }
    start()
  }

  /** Crashes machines. */
  protected reap(): void {
    this.world.at(500 + this.random.int(6000), () => {
      const alive = this.machines.filter((machine) => machine.alive)
      if (alive.length > 0 && !this.isOver) this.random.pick(alive).crash()
      if (!this.isOver) this.reap()
    })
  }

  protected machine(name: string): Machine {
    const machine = new Machine(this.world, name)
    this.machines.push(machine)
    return machine
  }

  protected ports(machine: Machine): LakePorts {
    return { store: this.store.handle(machine), clock: machine.clock, random: machine.random, compressor: this.world.compressor }
  }
}
