# Written from kong.yml by examples/render: change that, then run make generate.
# TF_VAR_konnect_token and TF_VAR_control_plane_id come from the environment.
terraform {
  required_providers {
    konnect = {
      source = "kong/konnect"
    }
  }
}

variable "konnect_token" {
  type      = string
  sensitive = true
}

variable "control_plane_id" {
  type = string
}

variable "service_orders_id" {
  type        = string
  description = "Id of the service orders."
}

provider "konnect" {
  personal_access_token = var.konnect_token
  server_url            = "https://us.api.konghq.com"
}

resource "konnect_gateway_custom_plugin_schema" "moesif" {
  control_plane_id = var.control_plane_id
  lua_schema       = file("${path.module}/../../../schema/moesif/schema.lua")
}

# moesif for the service orders
resource "konnect_gateway_custom_plugin" "moesif" {
  control_plane_id = var.control_plane_id
  name             = konnect_gateway_custom_plugin_schema.moesif.name
  config = {
    application_id = "{vault://env/moesif-application-id}"
  }
  service = {
    id = var.service_orders_id
  }

  # Konnect fills in defaults, which would be a difference at each plan; so are your own changes of config not seen.
  lifecycle {
    ignore_changes = [config]
  }
}
