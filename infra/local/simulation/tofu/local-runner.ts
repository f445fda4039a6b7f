import type { PodAddress } from './runner.ts'
import type { Runners } from './runner-pods.ts'
import type { TerraformRun } from './terraform-object.ts'

export const localAddress = 'localhost'

/** The one runner inside of the controller's own process (INSECURE_LOCAL_RUNNER=1): there are no runner pods. */
export class LocalRunner implements Runners {
  async find({ namespace }: TerraformRun): Promise<PodAddress> {
    return { namespace, ip: localAddress }
  }

  async remove(): Promise<void> {
    // It stays as long as the controller.
  }
}
