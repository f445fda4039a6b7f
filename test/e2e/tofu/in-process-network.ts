import type { RunnerConnection, RunnerNetwork } from '../../../infra/local/simulation/tofu/runner.ts'
import type { RunnerServer } from '../../../infra/local/simulation/tofu/runner-server.ts'

/** Reaches the one runner that is in this process, whatever the address. */
export class InProcessNetwork implements RunnerNetwork {
  readonly #server: RunnerServer

  constructor(server: RunnerServer) {
    this.#server = server
  }

  connect(): RunnerConnection {
    return { call: (request, signal) => this.#server.serve(request, signal), close: () => {} }
  }
}
