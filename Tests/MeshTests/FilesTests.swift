import EnvoyAPI
import Mesh
import Testing
import Wire

@Suite("Configuration files")
struct FilesTests {
    @Test("every file is a discovery response that reads back")
    func readBack() throws {
        let configuration = ProxyConfiguration(shop())
        let files = ConfigurationFiles(configuration)
        #expect(try Envoy.Bootstrap.read(JSON.parse(files.bootstrap)) == configuration.bootstrap)
        for path in files.paths {
            let bytes = try #require(files.bytes(of: path, version: 7))
            var warnings: [SchemaProblem] = []
            let response = try Envoy.DiscoveryResponse.read(JSON.parse(bytes), warnings: &warnings)
            #expect(response.versionInfo == "7")
            #expect(warnings.isEmpty)
            if path == "lds.json" { #expect(response.listeners == configuration.listeners) }
            if path == "cds.json" { #expect(response.clusters == configuration.clusters) }
            if path.hasPrefix("eds/") { #expect(response.clusterLoadAssignments.count == 1) }
            if path.hasPrefix("rds/") { #expect(response.routeConfigurations.count == 1) }
        }
    }

    @Test("the first time everything is written, what is referred to first")
    func firstTime() {
        let files = ConfigurationFiles(ProxyConfiguration(shop()))
        let changes = files.changes(since: nil)
        #expect(
            changes.written == [
                "eds/service_shop_users_9000.json", "eds/service_shop_web_80.json", "cds.json",
                "rds/service_shop_users_9000.json", "rds/service_shop_web_80.json", "lds.json",
            ]
        )
        #expect(changes.removed.isEmpty)
    }

    @Test("nothing is written when nothing changed")
    func unchanged() {
        let changes = ConfigurationFiles(ProxyConfiguration(shop())).changes(
            since: ConfigurationFiles(ProxyConfiguration(shop()))
        )
        #expect(changes.written.isEmpty && changes.removed.isEmpty)
    }

    @Test("files made with the help of the last ones are the same")
    func reuse() {
        var state = shop()
        let last = ConfigurationFiles(ProxyConfiguration(state))
        state.pods[2].isReady = true
        state.services[0].annotations["weft.dev/retries"] = "0"
        let configuration = ProxyConfiguration(state)
        #expect(ConfigurationFiles(configuration, last: last) == ConfigurationFiles(configuration))
    }

    @Test("a pod that becomes ready changes the endpoints of its Service alone")
    func onePod() {
        var state = shop()
        state.pods[2].isReady = true
        let changes = ConfigurationFiles(ProxyConfiguration(state)).changes(
            since: ConfigurationFiles(ProxyConfiguration(shop()))
        )
        #expect(changes.written == ["eds/service_shop_users_9000.json"])
    }

    @Test("the files of a Service that is gone are removed")
    func goneService() {
        var state = shop()
        state.services.removeLast()
        let changes = ConfigurationFiles(ProxyConfiguration(state)).changes(
            since: ConfigurationFiles(ProxyConfiguration(shop()))
        )
        #expect(changes.written == ["cds.json", "lds.json"])
        #expect(changes.removed == ["eds/service_shop_users_9000.json", "rds/service_shop_users_9000.json"])
    }
}
