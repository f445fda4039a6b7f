import { S3Client } from '@aws-sdk/client-s3'
import { required } from './environment.ts'
import { portsFromEnvironment } from './serve.ts'
import { bindStep, type Invocation, type Step, type WavePorts } from './step.ts'
import { S3WaveStore } from './waves/s3-wave-store.ts'

/** A request that hangs is given up and tried again. */
const requestHandler = { connectionTimeout: 2_000, requestTimeout: 10_000, throwOnRequestTimeout: true }

/** Makes a Lambda handler of a step of the waves. Environment: that of `serve`, and WAVES_BUCKET. */
export function serveWaves<Input, Output>(step: Step<Input, Output, WavePorts>): Invocation {
  let ports: WavePorts | undefined
  return bindStep(step, () => {
    if (!ports) {
      const bucket = required('WAVES_BUCKET', process.env.WAVES_BUCKET)
      const client = new S3Client({ requestHandler })
      ports = { ...portsFromEnvironment(step.name), waves: new S3WaveStore({ client, bucket }) }
    }
    return ports
  })
}
