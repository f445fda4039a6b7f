import { S3Client } from '@aws-sdk/client-s3'
import { required } from './environment.ts'
import { limitsForContent } from './request-limits.ts'
import { portsFromEnvironment } from './serve.ts'
import { bindStep, type Invocation, type Step, type WavePorts } from './step.ts'
import { S3WaveStore } from './waves/s3-wave-store.ts'

/** Makes a Lambda handler of a step of the waves. Environment: that of `serve`, and WAVES_BUCKET. */
export function serveWaves<Input, Output>(step: Step<Input, Output, WavePorts>): Invocation {
  let ports: WavePorts | undefined
  return bindStep(step, () => {
    if (!ports) {
      const bucket = required('WAVES_BUCKET', process.env.WAVES_BUCKET)
      const client = new S3Client({ ...limitsForContent })
      ports = { ...portsFromEnvironment(step.name), waves: new S3WaveStore({ client, bucket }) }
    }
    return ports
  })
}
