import { DefaultStackSynthesizer, type IStackSynthesizer } from 'aws-cdk-lib'

/**
 * For a stack without assets, whose template anybody may deploy by any means: it does not look whether CDK was set up in the
 * account. (The cast: CDK's own types do not agree under exactOptionalPropertyTypes.)
 */
export const withoutBootstrap = () =>
  new DefaultStackSynthesizer({ generateBootstrapVersionRule: false }) as IStackSynthesizer
