import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import { systemClock } from '../../functions/lib/clock.ts'
import { loadDefinition } from '../../infra/local/states/definition.ts'
import { MemoryExecutionStore } from '../../infra/local/states/execution-store.ts'
import { Interpreter } from '../../infra/local/states/interpreter.ts'
import { startStepFunctionsServer } from '../../infra/local/states/step-functions-server.ts'
import { noActivity } from '../../infra/local/virtual-clock.ts'
import { bundleHandlers } from './bundled-handlers.ts'
import { runModule } from './child-process.ts'
import { median, milliseconds, quantile } from './distribution.ts'
import type { Measurement } from './measurement.ts'
import { startSecretsServer } from './secrets-server.ts'

const repositories = [{ name: 'my-org/fleet-infra', branches: ['main'], host: 'github.com' }]
const secret = 'a secret of the benchmark'
const imports = 9
const pushes = 2_000

/** The bundle's size, the time to load it in a fresh process, and the time that a push takes once it is warm. */
export async function measureWebhookFunction(): Promise<readonly Measurement[]> {
  const bundles = bundleHandlers(['webhook'], { LOCKSTEP_REPOSITORIES: repositories })
  const services = await startServices()
  try {
    const bundle = bundles.path('webhook')
    const loads: number[] = []
    for (let run = 0; run < imports; run++) loads.push((await runWebhook(bundle, 0, services.environment)).importMs)
    const { answerMs } = await runWebhook(bundle, pushes, services.environment)
    return [sizeLine(statSync(bundle).size), importLine(loads), warmLine(answerMs)]
  } finally {
    await services.close()
    bundles.remove()
  }
}

function sizeLine(bytes: number): Measurement {
  const kilobytes = bytes / 1_000
  return {
    what: 'webhook function: bundle',
    target: '350 KB',
    measured: `${Math.round(kilobytes)} KB`,
    ok: kilobytes <= 350,
    values: { bytes },
  }
}

function importLine(loads: readonly number[]): Measurement {
  const [half, worst] = [median(loads), Math.max(...loads)]
  return {
    what: 'webhook function: import',
    target: '50 ms',
    measured: `median ${milliseconds(half)}, max ${milliseconds(worst)} (${loads.length} processes)`,
    ok: half <= 50,
    values: { medianMs: half, maxMs: worst, samples: loads.length },
  }
}

function warmLine(answers: readonly number[]): Measurement {
  const [half, most, worst] = [median(answers), quantile(answers, 0.99), Math.max(...answers)]
  return {
    what: 'webhook function: warm answer to a push',
    target: 'p99 20 ms',
    measured: `median ${milliseconds(half)}, p99 ${milliseconds(most)}, max ${milliseconds(worst)} (${answers.length} times)`,
    ok: most <= 20,
    values: { medianMs: half, p99Ms: most, maxMs: worst, samples: answers.length },
  }
}

const reportSchema = z.object({ importMs: z.number(), answerMs: z.array(z.number()) })

async function runWebhook(bundle: string, count: number, environment: Readonly<Record<string, string>>) {
  const file = fileURLToPath(new URL('invoke-webhook.mjs', import.meta.url))
  const payload = fileURLToPath(new URL('../fixtures/github/push.json', import.meta.url))
  return reportSchema.parse(await runModule(file, [bundle, payload, `${count}`], environment))
}

/** The two AWS services that the webhook asks, with a state machine that ends at once. */
async function startServices() {
  const done = { QueryLanguage: 'JSONata', StartAt: 'Done', States: { Done: { Type: 'Succeed' } } }
  const interpreter = new Interpreter({
    ...{ clock: systemClock, activity: noActivity, account: '000000000000', region: 'us-east-1' },
    ...{ machines: { fleet: loadDefinition(JSON.stringify(done)) }, handlers: {}, store: new MemoryExecutionStore() },
  })
  const states = await startStepFunctionsServer({ interpreter })
  const secrets = await startSecretsServer({ current: secret })
  return {
    environment: {
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_SESSION_TOKEN: 'local',
      AWS_ENDPOINT_URL_SFN: states.url,
      AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.url,
      WEBHOOK_SECRET_ARN: 'arn:aws:secretsmanager:us-east-1:000000000000:secret:webhook',
      FLEET_STATE_MACHINE_ARN: 'arn:aws:states:us-east-1:000000000000:stateMachine:fleet',
      WEBHOOK_SECRET: secret,
    },
    close: async () => {
      await interpreter.close()
      await states.close()
      await secrets.close()
    },
  }
}
