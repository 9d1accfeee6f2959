// SPDX-License-Identifier: Apache-2.0

package util // want "no rule knows package engine/util"
