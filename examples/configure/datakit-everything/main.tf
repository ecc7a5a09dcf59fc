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

# Konnect has a datakit of its own, so ours is datakit-go there and on the data planes.
resource "konnect_gateway_custom_plugin_schema" "datakit" {
  control_plane_id = var.control_plane_id
  lua_schema       = replace(file("${path.module}/../../../schema/datakit/schema.lua"), "name=\"datakit\"", "name=\"datakit-go\"")
}

# datakit for everything
resource "konnect_gateway_custom_plugin" "datakit" {
  control_plane_id = var.control_plane_id
  name             = konnect_gateway_custom_plugin_schema.datakit.name
  config = {
    nodes = [
      {
        name = "STATIC_INPUTS"
        type = "static"
        values = {
          headers = {
            "Content-Type" = "application/x-www-form-urlencoded"
          }
          body = "grant_type=client_credentials"
        }
      },
      {
        name = "BUILD_HEADERS"
        type = "jq"
        inputs = {
          headers = "STATIC_INPUTS.headers"
          query   = "request.query"
        }
        jq = <<-EOT
          .headers * {
            "X-Api-Key": (.query.api_key // "none")
          }
        EOT
      },
      {
        name = "AUTH_REQUEST"
        type = "call"
        inputs = {
          headers = "BUILD_HEADERS"
          body    = "STATIC_INPUTS.body"
        }
        url    = "https://my-token-service/auth-token"
        method = "POST"
      },
      {
        name   = "UPSTREAM_AUTH_HEADER"
        type   = "jq"
        input  = "AUTH_REQUEST.body"
        output = "service_request.headers"
        jq     = <<-EOT
          {
            Authorization: (.token_type + " " + .access_token)
          }
        EOT
      },
    ]
  }

  # Konnect fills in defaults, which would be a difference at each plan; so are your own changes of config not seen.
  lifecycle {
    ignore_changes = [config]
  }
}
