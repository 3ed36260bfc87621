variable "name" {
  description = "Name of the bucket, which no other bucket in the world may have."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "name: want 3 to 63 lower-case letters, digits and dashes, as in \"example-odradek\"; dots break TLS."
  }
}

variable "prefix" {
  description = "What every key begins with, without a slash at its end; empty: the whole bucket is Odradek's."
  type        = string
  default     = ""

  validation {
    condition     = var.prefix == "" || can(regex("^[a-z0-9._-]+(/[a-z0-9._-]+)*$", var.prefix))
    error_message = "prefix: want words of lower-case letters, digits, dots, dashes and underscores with single slashes between them, as in \"prod/odradek\"."
  }
}

variable "compactor_role_arns" {
  description = "Roles that may delete objects: those that the compactor runs with."
  type        = list(string)

  validation {
    condition     = length(var.compactor_role_arns) > 0
    error_message = "compactor_role_arns: name the compactor's role, or nothing is ever deleted and the bucket only grows."
  }
}

variable "admin_role_arns" {
  description = "Roles of people: the rules on creating and deleting do not hold for them. A restore from a backup, and `terraform destroy` of a bucket with force_destroy, need one."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.admin_role_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[^*]+$", arn))])
    error_message = "admin_role_arns: want ARNs of roles or users without wildcards, as in \"arn:aws:iam::123456789012:role/admin\"."
  }
}

variable "kms_key_arn" {
  description = "A key of KMS to encrypt with, used through a bucket key so that it is not asked for every object; null: the keys of S3 itself (SSE-S3)."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-f-]+$", var.kms_key_arn))
    error_message = "kms_key_arn: want the ARN of a key and not of an alias, as in \"arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef\"."
  }
}

variable "abort_uploads_after_days" {
  description = "After how many days the parts of an upload that nobody finished are dropped."
  type        = number
  default     = 1

  validation {
    condition     = var.abort_uploads_after_days >= 1 && var.abort_uploads_after_days <= 30
    error_message = "abort_uploads_after_days: want 1 to 30."
  }
}

variable "force_destroy" {
  description = "Let `terraform destroy` delete the bucket with all records in it."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of the bucket."
  type        = map(string)
  default     = {}
}
