# The schema of moesif and one global configuration of it in a control plane of Konnect.
terraform {
  required_providers {
    konnect = {
      source = "kong/konnect"
    }
  }
}

variable "control_plane_id" {
  type = string
}

# From the environment: TF_VAR_konnect_token.
variable "konnect_token" {
  type      = string
  sensitive = true
}

provider "konnect" {
  personal_access_token = var.konnect_token
  server_url            = "https://us.api.konghq.com"
}

resource "konnect_gateway_custom_plugin_schema" "moesif" {
  control_plane_id = var.control_plane_id
  lua_schema       = file("${path.module}/../schema/moesif/schema.lua")
}

# The name comes from the schema's resource, so that the schema is there first and goes last.
resource "konnect_gateway_custom_plugin" "moesif" {
  control_plane_id = var.control_plane_id
  name             = konnect_gateway_custom_plugin_schema.moesif.name
  config = {
    application_id = "{vault://env/moesif-application-id}"
  }

  # Konnect fills in the defaults of all other fields, which would be a difference at each plan. The price: your own changes
  # of config are not seen either. Instead of this, list every field above.
  lifecycle {
    ignore_changes = [config]
  }
}
