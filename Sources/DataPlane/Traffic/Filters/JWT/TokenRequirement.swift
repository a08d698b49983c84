package import Tokens

/// What tokens a request has to carry.
package indirect enum TokenRequirement: Sendable, Equatable {
    /// One of a provider, by its position; with audiences these count in place of the provider's.
    case provider(Int, audiences: [String]?)
    case any([TokenRequirement])
    case all([TokenRequirement])
    /// Tokens may be missing, but none may be bad.
    case allowMissing
    case allowMissingOrFailed
    /// A requirement that there is not: nothing passes.
    case never
}

/// Whether the keys of a provider are there.
package enum ProviderKeys: Sendable {
    case ready(KeySet)
    /// They have to be fetched first.
    case absent
    case failed(TokenFault)
}

/// The outcome of a requirement.
package enum TokenVerdict: Sendable, Equatable {
    case allowed(TokenEffects)
    case denied(TokenFault)
    /// It cannot be told before the keys of this provider are there, or cannot be had.
    case needsKeys(Int)
}

/// Judges one request; pure: what it depends on is given.
package struct TokenJudge {
    package var providers: [TokenProvider]
    package var keys: [ProviderKeys]
    package var view: RequestView
    /// Seconds since 1970.
    package var now: UInt64

    package init(providers: [TokenProvider], keys: [ProviderKeys], view: RequestView, now: UInt64) {
        self.providers = providers
        self.keys = keys
        self.view = view
        self.now = now
    }

    package func judge(_ requirement: TokenRequirement) -> TokenVerdict {
        switch requirement {
        case .provider(let index, let audiences): return tokens(of: index, audiences: audiences)
        case .any(let list): return any(list)
        case .all(let list):
            var effects = TokenEffects()
            for requirement in list {
                switch judge(requirement) {
                case .allowed(let more): effects.add(more)
                case let other: return other
                }
            }
            return .allowed(effects)
        case .allowMissing: return anybody(toleratesBad: false)
        case .allowMissingOrFailed: return anybody(toleratesBad: true)
        case .never: return .denied(.missing)
        }
    }

    /// The first that is met; if none is, the reason that says most.
    private func any(_ list: [TokenRequirement]) -> TokenVerdict {
        var fault = TokenFault.missing
        for requirement in list {
            switch judge(requirement) {
            case .denied(let new):
                if new != .missing, new != .unknownIssuer || fault == .missing { fault = new }
            case let other: return other
            }
        }
        return .denied(fault)
    }

    private func tokens(of index: Int, audiences: [String]?) -> TokenVerdict {
        let provider = providers[index]
        var effects = TokenEffects()
        var found = false
        for place in provider.places {
            for text in place.tokens(view) {
                found = true
                switch one(text, place, index, audiences) {
                case .allowed(let more): effects.add(more)
                case let other: return other
                }
            }
        }
        return found ? .allowed(effects) : .denied(.missing)
    }

    private func one(_ text: [UInt8], _ place: TokenPlace, _ index: Int, _ audiences: [String]?) -> TokenVerdict {
        do throws(TokenFault) {
            let token = try WebToken(text)
            try providers[index].check(token, audiences: audiences, now: now)
            switch keys[index] {
            case .absent: return .needsKeys(index)
            case .failed(let fault): return .denied(fault)
            case .ready(let set): try set.verify(token)
            }
            return .allowed(providers[index].effects(of: token, at: place))
        } catch {
            return .denied(error)
        }
    }

    /// All tokens that stand at places of providers, each by the provider that its issuer names.
    private func anybody(toleratesBad: Bool) -> TokenVerdict {
        var effects = TokenEffects()
        for (text, place) in allTokens() {
            let verdict = byIssuer(text, place)
            switch verdict {
            case .allowed(let more): effects.add(more)
            case .needsKeys: return verdict
            case .denied: if !toleratesBad { return verdict }
            }
        }
        return .allowed(effects)
    }

    private func allTokens() -> [(text: [UInt8], place: TokenPlace)] {
        var places: [TokenPlace] = []
        for place in providers.flatMap(\.places) where !places.contains(place) { places.append(place) }
        return places.flatMap { place in place.tokens(view).map { ($0, place) } }
    }

    private func byIssuer(_ text: [UInt8], _ place: TokenPlace) -> TokenVerdict {
        do throws(TokenFault) {
            let issuer = try WebToken(text).issuer ?? ""
            let index = providers.firstIndex { $0.issuer == issuer && $0.places.contains(place) }
            guard let index else { return .denied(.unknownIssuer) }
            return one(text, place, index, nil)
        } catch {
            return .denied(error)
        }
    }
}
