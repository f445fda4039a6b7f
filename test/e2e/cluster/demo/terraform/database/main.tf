# terraform_data is part of OpenTofu: no provider has to be fetched.
locals {
  change = jsondecode(file("${path.module}/change.json"))
}

resource "terraform_data" "database" {
  triggers_replace = [local.change.id]

  provisioner "local-exec" {
    command = "sleep ${local.change.seconds}; exit ${local.change.exit}"
  }
}
