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

provider "konnect" {
  personal_access_token = var.konnect_token
  server_url            = "https://us.api.konghq.com"
}

resource "konnect_gateway_custom_plugin_schema" "keyauth" {
  control_plane_id = var.control_plane_id
  lua_schema       = file("${path.module}/../../../schema/keyauth/schema.lua")
}

# keyauth for everything
resource "konnect_gateway_custom_plugin" "keyauth" {
  control_plane_id = var.control_plane_id
  name             = konnect_gateway_custom_plugin_schema.keyauth.name
  config = {
    key_names        = ["apikey"]
    hide_credentials = true
    credentials = [
      {
        consumer = "alice"
        digest   = "sha256::fkBGx9ILtmIzoC4TOdsVoKXDMckfRq62jYYTLC4xlko"
      },
    ]
  }

  # Konnect fills in defaults, which would be a difference at each plan; so are your own changes of config not seen.
  lifecycle {
    ignore_changes = [config]
  }
}
