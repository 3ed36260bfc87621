variable "region" {
  description = "Region of AWS."
  type        = string
  default     = "eu-central-1"
}

variable "zones" {
  description = "Its availability zones to run in."
  type        = list(string)
  default     = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
}

variable "name" {
  description = "Name of the deployment."
  type        = string
  default     = "odradek"
}

variable "bucket" {
  description = "Name of the bucket to make."
  type        = string
}

variable "image" {
  description = "Image of Odradek, by version or digest."
  type        = string
}

variable "agents" {
  description = "How many agents there are at least and at most."
  type        = object({ min = optional(number, 3), max = optional(number, 12) })
  default     = {}
}

variable "admin_role_arns" {
  description = "Roles of people who may delete objects."
  type        = list(string)
  default     = []
}

variable "alarm_actions" {
  description = "Whom alarms tell, as ARNs of SNS topics."
  type        = list(string)
  default     = []
}
