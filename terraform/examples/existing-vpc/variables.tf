variable "region" {
  description = "Region of AWS."
  type        = string
  default     = "eu-central-1"
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

variable "vpc_id" {
  description = "The VPC to run in."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "vpc_id: want the id of a VPC, as in \"vpc-0123456789abcdef0\"."
  }
}

variable "subnet_ids" {
  description = "Its subnets for agents and Redis, one per zone."
  type        = list(string)

  validation {
    condition     = alltrue([for id in var.subnet_ids : startswith(id, "subnet-")])
    error_message = "subnet_ids: want ids of subnets, as in \"subnet-0123456789abcdef0\"."
  }
}

variable "client_cidr_blocks" {
  description = "Addresses that Kafka clients and whoever gathers metrics come from."
  type        = list(string)
}

variable "s3_route_table_ids" {
  description = "Route tables of the subnets that get a gateway endpoint of S3; empty if they have one."
  type        = list(string)
  default     = []
}
