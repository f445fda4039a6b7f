/**
 * A Terraform configuration that needs no provider from a registry, whose applies take a time and can be made to fail.
 * Every new `number` is a change to apply.
 */
export interface TerraformRun {
  readonly number: number
  /** How long an apply takes. */
  readonly seconds: number
  /** Applies fail while this file exists. */
  readonly brokenBy: string
}

export function terraformFiles(folder: string, run: TerraformRun): Record<string, string> {
  return { [`${folder}/main.tf`]: mainTf, [`${folder}/run.json`]: `${JSON.stringify(run)}\n` }
}

const mainTf = `locals {
  run = jsondecode(file("\${path.module}/run.json"))
}

resource "terraform_data" "main" {
  triggers_replace = [local.run.number]

  provisioner "local-exec" {
    command = "sleep \${local.run.seconds}; test ! -e \${local.run.brokenBy}"
  }
}
`
