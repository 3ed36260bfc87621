variable "name" {
  description = "Name of the deployment: the first word of every resource's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}[a-z0-9]$", var.name))
    error_message = "name: want 3 to 22 lower-case letters, digits and dashes, beginning with a letter, as in \"odradek\"."
  }
}

variable "cidr" {
  description = "Addresses of the VPC. Each zone gets a sixteenth of them for its agents."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && can(regex("/(1[6-9]|20)$", var.cidr))
    error_message = "cidr: want an IPv4 range of /16 to /20, as in \"10.42.0.0/16\"."
  }
}

variable "zones" {
  description = "Availability zones, one subnet in each. Three are usual; at least two, or a zone that fails takes everything with it."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 6 && length(distinct(var.zones)) == length(var.zones)
    error_message = "zones: want two to six different availability zones, as in [\"eu-central-1a\", \"eu-central-1b\", \"eu-central-1c\"]."
  }
}

variable "nat" {
  description = "How agents reach what is not the bucket (images, logs, secrets): \"one\" NAT gateway, one \"per_zone\", or \"none\": then they have public addresses, which their security group keeps closed."
  type        = string
  default     = "one"

  validation {
    condition     = contains(["none", "one", "per_zone"], var.nat)
    error_message = "nat: want \"none\", \"one\" or \"per_zone\"."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
