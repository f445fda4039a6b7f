import { systemClock } from '../../functions/lib/clock.ts'
import { startS3 } from '../../infra/local/s3/s3-server.ts'
import { stateBucketAt, type Versioning } from './state-keeper.client.ts'
import { stateKeeperContract } from './state-keeper.contract.ts'

for (const versioning of ['never', 'enabled', 'suspended'] satisfies Versioning[]) {
  stateKeeperContract(`S3 client on the stand-in, versions ${versioning}`, async () => {
    let ahead = 0
    const server = await startS3({ clock: { ...systemClock, now: () => systemClock.now() + ahead } })
    const tick = async () => {
      ahead += 1000
    }
    const under = await stateBucketAt({ url: server.url, tick }, versioning)
    return {
      ...under,
      close: async () => {
        await under.close()
        await server.close()
      },
    }
  })
}
