variable "name" {
  description = "Name of the deployment: the first word of every resource's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "name: want 3 to 22 lower-case letters, digits and single dashes, beginning with a letter, as in \"odradek\"."
  }
}

variable "cluster" {
  description = "Name of the Odradek cluster: the only keys that its user may touch begin with it."
  type        = string
  default     = "odradek"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,64}$", var.cluster))
    error_message = "cluster: want 1 to 64 letters, digits, dots, dashes and underscores."
  }
}

variable "vpc_id" {
  description = "The VPC of the agents."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets for master and replicas, in at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids: want subnets in at least two zones, or there is nowhere to fail over to."
  }
}

variable "agents_security_group_id" {
  description = "Security group of the agents: nobody else reaches Redis."
  type        = string
}

variable "node_type" {
  description = "Type of its nodes. They hold the index of what is not in a verified checkpoint yet, and copies of groups and producers."
  type        = string
  default     = "cache.t4g.small"

  validation {
    condition     = can(regex("^cache\\.[a-z0-9]+\\.[a-z0-9]+$", var.node_type))
    error_message = "node_type: want a type of ElastiCache, as in \"cache.t4g.small\"."
  }
}

variable "replicas" {
  description = "Replicas beside the master, one of which takes over when it fails."
  type        = number
  default     = 1

  validation {
    condition     = var.replicas >= 1 && var.replicas <= 5
    error_message = "replicas: want 1 to 5; without any there is nothing to fail over to."
  }
}

variable "kms_key_arn" {
  description = "A key of KMS for the secret that holds the password; null: that of Secrets Manager."
  type        = string
  default     = null
}

variable "alarm_actions" {
  description = "Whom alarms tell, as ARNs of SNS topics."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
