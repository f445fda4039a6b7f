import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App, Duration, Stack } from 'aws-cdk-lib'
import { HandlerFunction } from '../../infra/aws/handler-function.ts'

/** Functions as they are deployed, on disk. */
export interface BundledHandlers {
  /** Path of the bundle of the function in that folder under functions/. */
  path(handler: string): string
  remove(): void
}

/**
 * Has the CDK bundle functions, by the very construct that deploys them. `bundled`: values for all of them to carry.
 * To be called from the project's root. Throws when esbuild does.
 */
export function bundleHandlers(
  handlers: readonly string[],
  bundled: Readonly<Record<string, unknown>>,
): BundledHandlers {
  const outdir = mkdtempSync(join(tmpdir(), 'lockstep-bench-'))
  // The CDK's command line sets this too: the template names each function's asset.
  const app = new App({ outdir, context: { 'aws:cdk:enable-asset-metadata': true } })
  for (const handler of handlers) {
    // A stack for each, because the template tells which assets are whose by their stack only.
    new HandlerFunction(new Stack(app, handler), 'Handler', {
      ...{ handler, bundled, description: 'for the benchmark', timeout: Duration.minutes(1), memorySize: 512 },
    })
  }
  const assembly = app.synth()
  return {
    path: (handler) => {
      const { template } = assembly.getStackByName(handler)
      const functions = Object.values(template.Resources as Record<string, Resource>)
      const asset = functions.map(({ Metadata }) => Metadata?.['aws:asset:path']).find((path) => path !== undefined)
      const folder = join(outdir, asset ?? '')
      const bundle = readdirSync(folder).find((file) => /^index\.m?js$/.test(file))
      if (asset === undefined || bundle === undefined) throw new Error(`the CDK has made no bundle of ${handler}`)
      return join(folder, bundle)
    },
    remove: () => rmSync(outdir, { recursive: true }),
  }
}

interface Resource {
  readonly Metadata?: { readonly 'aws:asset:path'?: string }
}
